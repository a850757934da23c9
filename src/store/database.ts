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
import { boundedClient } from "./bounded-client.ts";
import { lockDataDir } from "./data-dir-lock.ts";
import { ApiKeyEntity } from "./entities/api-key.ts";
import { AttemptEntity } from "./entities/attempt.ts";
import { DeliveryEntity } from "./entities/delivery.ts";
import { EventEntity } from "./entities/event.ts";
import { OrganizationEntity } from "./entities/organization.ts";
import { RecoveryEntity } from "./entities/recovery.ts";
import { ScheduledDeliveryEntity } from "./entities/scheduled-delivery.ts";
import { WebhookEntity } from "./entities/webhook.ts";
import { WebhookHealthEntity } from "./entities/webhook-health.ts";
import { WebhookSecretEntity } from "./entities/webhook-secret.ts";
import { writeArraysExactly } from "./exact-arrays.ts";
import { createHearingConnections } from "./hearing-connections.ts";
import { AttemptsOfDelivered } from "./migrations/attempts-of-delivered.ts";
import { AuditLog } from "./migrations/audit-log.ts";
import { ClaimedOperationalEvents } from "./migrations/claimed-operational-events.ts";
import { ColumnStatistics } from "./migrations/column-statistics.ts";
import { IncarnationOfDatabase } from "./migrations/incarnation.ts";
import { Initial } from "./migrations/initial.ts";
import { KeyAccess } from "./migrations/key-access.ts";
import { OrganizationLimits } from "./migrations/limits.ts";
import { SigningKeys } from "./migrations/signing-keys.ts";
import { WebhookHealthRows } from "./migrations/webhook-health-rows.ts";
import { ensurePartitions, partitionsAtHand } from "./partitions.ts";
import { createPgliteSql } from "./pglite.ts";
import { SerialPgliteDialect } from "./pglite-dialect.ts";
import { createPoolSql, createSessionSql } from "./pool.ts";
import type { Sql } from "./sql.ts";

/** The store: the ORM for everything but the hot path, and the set-based statements on the same database. */
export interface Database {
  /** A fresh EntityManager with an identity map of its own: one for each use case. */
  em(): SqlEntityManager;
  sql: Sql;
  /**
   * Brings the tables up to date, with the partitions of the next days. Safe to run in several processes at once. Returns the names of the
   * migrations that ran. Throws CONFIG_INVALID where the database is that of another Tellwire.
   */
  migrate(): Promise<string[]>;
  /** The names of the migrations that have not run yet. */
  pendingMigrations(): Promise<string[]>;
  /**
   * Runs the work while no other process runs work of the same key, on one session of the database. Undefined, without running it, where
   * another process does.
   */
  exclusively<Result>(key: number, work: (session: Sql) => Promise<Result>): Promise<Result | undefined>;
  /** Throws where the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface PostgresOptions {
  maxConnections: number;
  /** How long whoever needs a connection waits for one, in milliseconds; left out: 5,000. */
  connectTimeoutMs?: number;
}

/**
 * A Postgres server: `postgres://user:password@host:port/database`. Throws DATABASE_UNAVAILABLE where it does not answer, does not let us in,
 * or has no such database.
 */
export async function openPostgres(
  url: string,
  { maxConnections, connectTimeoutMs: connectionTimeoutMillis = 5_000 }: PostgresOptions,
): Promise<Database> {
  // A pool that never gives up on a connection attempt would hang readiness with it.
  // Nor may one that fell silent: the statements of a running service are short.
  const patience = { Client: boundedClient(30_000), connectionTimeoutMillis, keepAlive: true };
  const maxPlannedOnce = Math.floor(maxConnections * shareOfPlannedOnce);
  const orm = await MikroORM.init({
    ...ormOptions,
    driver: PostgreSqlDriver,
    clientUrl: url,
    // A database that does not exist is not made: a misspelt name must not pass for an empty database.
    ensureDatabase: false,
    pool: { min: 0, max: maxConnections - maxPlannedOnce },
    driverOptions: { ...patience, options: planEachTime },
  });
  const pool = await (orm.em.getConnection() as unknown as PostgreSqlConnection).getNativeClient();
  await requireConnection(pool, url).catch(async (error) => {
    await orm.close();
    throw error;
  });
  const hearing = createHearingConnections();
  const plannedOnce = new pg.Pool({
    ...patience,
    connectionString: url,
    max: maxPlannedOnce,
    options: planOnce,
    onConnect: hearing.prepare,
  });
  // Whose statement it breaks under is told of a lost connection; nobody else has to be.
  plannedOnce.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
  const connectListener = (timeoutMs: number) =>
    new (boundedClient(timeoutMs))({ connectionString: url, keepAlive: true, connectionTimeoutMillis });
  const pools = { pool, plannedOnce: maxPlannedOnce === 0 ? pool : plannedOnce, hearing };
  const sql = createPoolSql(pools, connectListener);
  const listen: Sql["listen"] = async (...channel) => {
    try {
      return await sql.listen(...channel);
    } catch (cause) {
      throw unreachable(url, cause);
    }
  };
  const opened = database(
    orm,
    { ...sql, listen },
    {
      async inTurn(work) {
        // Two processes that start together would both run the migrations: the second waits for the first.
        return await onSession(pool, async (session) => {
          await session.query({ name: "", text: "select pg_advisory_lock($1)" }, [migrationLock]);
          const result = await work();
          await session.query({ name: "", text: "select pg_advisory_unlock($1)" }, [migrationLock]);
          return result;
        });
      },
      async exclusively(key, work) {
        return await onSession(pool, async (session) => {
          const tryLock = { name: "", text: "select pg_try_advisory_lock($1) as locked" };
          const [found] = await session.query<{ locked: boolean }>(tryLock, [key]);
          if (found?.locked !== true) return undefined;
          const result = await work(session);
          await session.query({ name: "", text: "select pg_advisory_unlock($1)" }, [key]);
          return result;
        });
      },
    },
  );
  return {
    ...opened,
    async close() {
      await Promise.all([plannedOnce.end(), opened.close()]);
    },
  };
}

/** A session whose work failed is closed, with the locks and the settings that it still has. */
async function onSession<Result>(pool: pg.Pool, work: (session: Sql) => Promise<Result>): Promise<Result> {
  const client = await pool.connect();
  try {
    const result = await work(createSessionSql(client));
    client.release();
    return result;
  } catch (error) {
    client.release(true);
    throw error;
  }
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
  const sql = createPgliteSql(pglite);
  // One process has it, on one session.
  const opened = database(orm, sql, { inTurn: (work) => work(), exclusively: (_key, work) => work(sql) });
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
    RecoveryEntity,
    ScheduledDeliveryEntity,
    WebhookEntity,
    WebhookHealthEntity,
    WebhookSecretEntity,
  ],
  extensions: [Migrator],
  migrations: {
    tableName: "tellwire_migrations",
    snapshot: false,
    silent: true,
    migrationsList: [
      { name: "2026-11-22-initial", class: Initial },
      { name: "2026-11-22b-key-access", class: KeyAccess },
      { name: "2026-11-22b-signing-keys", class: SigningKeys },
      { name: "2026-11-22d-limits", class: OrganizationLimits },
      { name: "2026-11-22e-audit-log", class: AuditLog },
      { name: "2026-11-22h-claimed-operational-events", class: ClaimedOperationalEvents },
      { name: "2026-11-22i-webhook-health-rows", class: WebhookHealthRows },
      { name: "2026-11-22j-attempts-of-delivered", class: AttemptsOfDelivered },
      { name: "2026-11-22k-incarnation", class: IncarnationOfDatabase },
      { name: "2026-11-22l-column-statistics", class: ColumnStatistics },
    ],
  },
  forceUtcTimezone: true,
  discovery: { warnWhenNoEntities: true },
};

/**
 * A prepared statement keeps its plan. One that was made while a table was empty reads the whole table when it has grown, so each execution
 * is planned for the table as it is; the parsing is still saved.
 */
const planEachTime = "-c plan_cache_mode=force_custom_plan";

/**
 * For statements that say so (`Statement.plannedOnce`): by index always, so that it makes no difference how large the tables are when the
 * plan is made; and compiled never, which takes longer than any of them.
 */
const planOnce = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off";

/** Of the connections: the path of events needs up to three at a time, and nobody else can take them. With fewer than four there is no share. */
const shareOfPlannedOnce = 0.3;

/** Before anything else is done, so that what is wrong with the server, the login or the database is told as such. */
async function requireConnection(pool: pg.Pool, url: string): Promise<void> {
  try {
    (await pool.connect()).release();
  } catch (cause) {
    throw unreachable(url, cause);
  }
}

function unreachable(url: string, cause: unknown): TellwireError {
  const { host, pathname } = new URL(url);
  const said = cause instanceof AggregateError ? cause.errors.map(messageOf).join(", ") : messageOf(cause);
  return new TellwireError(
    "DATABASE_UNAVAILABLE",
    `cannot connect to the database ${pathname.slice(1)} at ${host}: ${said}: check that the server runs and has it, and TELLWIRE_DATABASE_URL`,
    { cause },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The key of the advisory lock: the letters "tellwire" are its only meaning. */
const migrationLock = 0x74_65_6c_6c;

interface Exclusion extends Pick<Database, "exclusively"> {
  /** Waits until no other process does such work. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result>;
}

function database(orm: MikroORM, sql: Sql, { inTurn, exclusively }: Exclusion): Database {
  writeArraysExactly(orm);
  return {
    em: () => orm.em.fork() as unknown as SqlEntityManager,
    sql,
    async migrate() {
      const names = await inTurn(async () => {
        await requireKnownMigrations(orm, sql);
        return (await orm.migrator.up()).map(({ name }) => name);
      });
      await ensurePartitions(sql, { now: Date.now(), ...partitionsAtHand });
      return names;
    },
    async pendingMigrations() {
      await requireKnownMigrations(orm, sql);
      return (await orm.migrator.getPending()).map(({ name }) => name);
    },
    exclusively,
    async ping() {
      await sql.query({ name: "ping", text: "select 1" }, []);
    },
    close: () => orm.close(),
  };
}

/**
 * Refuses a database whose tables are others than this version's: one of a checkout before the first release, or of a later version. Their
 * migrations have names that this version does not know.
 */
async function requireKnownMigrations(orm: MikroORM, sql: Sql): Promise<void> {
  const [table] = await sql.query<{ exists: boolean }>(
    { name: "", text: "select to_regclass('tellwire_migrations') is not null as exists" },
    [],
  );
  if (table?.exists !== true) return;
  const known = new Set(ormOptions.migrations.migrationsList.map(({ name }) => name));
  const executed = await orm.migrator.getExecuted();
  const unknown = executed.find(({ name }) => !known.has(name));
  if (unknown === undefined) return;
  const was =
    unknown.name === "2026-11-21-initial" ? "by a version before the first release" : "by another version of Tellwire";
  throw new TellwireError(
    "CONFIG_INVALID",
    `the database was made ${was} (its migration ${unknown.name} is unknown here): start with an empty one (TELLWIRE_DATABASE_URL or TELLWIRE_DATA_DIR)`,
  );
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
