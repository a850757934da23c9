import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { MikroORM } from "@mikro-orm/core";
import { Migrator } from "@mikro-orm/migrations";
import { PgliteDriver } from "@mikro-orm/pglite";
import { type PostgreSqlConnection, PostgreSqlDriver } from "@mikro-orm/postgresql";
import { createPostgreSqlTypeParsers, type SqlEntityManager } from "@mikro-orm/sql";
import pg from "pg";
import array from "postgres-array";
import { TellwireError } from "../errors.ts";
import { lockDataDir } from "./data-dir-lock.ts";
import { ApiKeyEntity } from "./entities/api-key.ts";
import { AttemptEntity } from "./entities/attempt.ts";
import { DeliveryEntity } from "./entities/delivery.ts";
import { EventEntity } from "./entities/event.ts";
import { OrganizationEntity } from "./entities/organization.ts";
import { WebhookEntity } from "./entities/webhook.ts";
import { WebhookHealthEntity } from "./entities/webhook-health.ts";
import { WebhookSecretEntity } from "./entities/webhook-secret.ts";
import { Initial } from "./migrations/initial.ts";
import { createPgliteSql } from "./pglite.ts";
import { SerialPgliteDialect } from "./pglite-dialect.ts";
import { createPoolSql } from "./pool.ts";
import type { Sql } from "./sql.ts";

/** The store: the ORM for everything but the hot path, and the set-based statements on the same database. */
export interface Database {
  /** A fresh EntityManager with an identity map of its own: one for each use case. */
  em(): SqlEntityManager;
  sql: Sql;
  /** Brings the tables up to date. Safe to run in several processes at once. Returns the names of the migrations that ran. */
  migrate(): Promise<string[]>;
  /** The names of the migrations that have not run yet. */
  pendingMigrations(): Promise<string[]>;
  /** Throws where the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/**
 * A Postgres server: `postgres://user:password@host:port/database`. Throws DATABASE_UNAVAILABLE where it does not answer, does not let us in,
 * or has no such database.
 */
export async function openPostgres(url: string, options: { maxConnections: number }): Promise<Database> {
  const orm = await MikroORM.init({
    ...ormOptions,
    driver: PostgreSqlDriver,
    clientUrl: url,
    // A database that does not exist is not made: a misspelt name must not pass for an empty database.
    ensureDatabase: false,
    pool: { min: 0, max: options.maxConnections },
    // A pool that never gives up on a connection attempt would hang readiness with it.
    driverOptions: { connectionTimeoutMillis: 5_000, keepAlive: true, options: planEachTime },
  });
  const pool = await (orm.em.getConnection() as unknown as PostgreSqlConnection).getNativeClient();
  await requireConnection(pool, url).catch(async (error) => {
    await orm.close();
    throw error;
  });
  const connectListener = () =>
    new pg.Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 5_000 });
  return database(orm, createPoolSql(pool, connectListener), async (migrate) => {
    // Two processes that start together would both run the migrations: the second waits for the first.
    const client = await pool.connect();
    try {
      await client.query("select pg_advisory_lock($1)", [migrationLock]);
      return await migrate();
    } finally {
      await client.query("select pg_advisory_unlock($1)", [migrationLock]).catch(() => {});
      client.release();
    }
  });
}

/** The embedded Postgres (PGlite) in a folder of this machine, or in memory where none is given. One process has it at a time. */
export async function openEmbedded(dataDir: string | undefined): Promise<Database> {
  const unlock = dataDir === undefined ? () => {} : await lockedFolder(dataDir);
  const pglite = await PGlite.create({
    ...(dataDir === undefined ? {} : { dataDir: join(dataDir, "postgres") }),
    parsers: createPostgreSqlTypeParsers((text) => array.parse(text)),
  });
  const orm = await MikroORM.init({
    ...ormOptions,
    driver: PgliteDriver,
    dbName: "postgres",
    driverOptions: new SerialPgliteDialect({ pglite }),
  });
  const opened = database(orm, createPgliteSql(pglite), (migrate) => migrate());
  return {
    ...opened,
    async close() {
      await opened.close();
      unlock();
    },
  };
}

const ormOptions = {
  entities: [
    ApiKeyEntity,
    AttemptEntity,
    DeliveryEntity,
    EventEntity,
    OrganizationEntity,
    WebhookEntity,
    WebhookHealthEntity,
    WebhookSecretEntity,
  ],
  extensions: [Migrator],
  migrations: {
    tableName: "tellwire_migrations",
    snapshot: false,
    silent: true,
    migrationsList: [{ name: "2026-11-21-initial", class: Initial }],
  },
  forceUtcTimezone: true,
  discovery: { warnWhenNoEntities: true },
};

/**
 * A prepared statement keeps its plan. One that was made while a table was empty reads the whole table when it has grown, so each execution
 * is planned for the table as it is; the parsing is still saved.
 */
const planEachTime = "-c plan_cache_mode=force_custom_plan";

/** Before anything else is done, so that what is wrong with the server, the login or the database is told as such. */
async function requireConnection(pool: pg.Pool, url: string): Promise<void> {
  try {
    (await pool.connect()).release();
  } catch (cause) {
    const { host, pathname } = new URL(url);
    const said = cause instanceof AggregateError ? cause.errors.map(messageOf).join(", ") : messageOf(cause);
    throw new TellwireError(
      "DATABASE_UNAVAILABLE",
      `cannot connect to the database ${pathname.slice(1)} at ${host}: ${said}: check that the server runs and has it, and TELLWIRE_DATABASE_URL`,
      { cause },
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The key of the advisory lock: the letters "tellwire" are its only meaning. */
const migrationLock = 0x74_65_6c_6c;

function database(
  orm: MikroORM,
  sql: Sql,
  exclusively: (migrate: () => Promise<string[]>) => Promise<string[]>,
): Database {
  return {
    em: () => orm.em.fork() as unknown as SqlEntityManager,
    sql,
    migrate: () => exclusively(async () => (await orm.migrator.up()).map(({ name }) => name)),
    pendingMigrations: async () => (await orm.migrator.getPending()).map(({ name }) => name),
    async ping() {
      await sql.query({ name: "ping", text: "select 1" }, []);
    },
    close: () => orm.close(),
  };
}

async function lockedFolder(dataDir: string): Promise<() => void> {
  await mkdir(dataDir, { recursive: true });
  const lock = lockDataDir(dataDir);
  if (lock.kind === "held") {
    throw new TellwireError(
      "CONFIG_INVALID",
      `the data folder ${dataDir} is in use by process ${lock.pid}: stop it, or set TELLWIRE_DATA_DIR to another folder`,
    );
  }
  return lock.release;
}
