import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import { openTestPostgres } from "./open-test-postgres.ts";
import { startPostgresServer } from "./postgres-server.ts";
import { waitFor } from "./wait-for.ts";

/** What tests need to know of the server of this run (`inject("postgres")`). */
export interface TestPostgres {
  /** A superuser's URL, or that of a user who may create databases. */
  url: string;
  /** The migrated database from which each test's own is cloned; its name starts the names of the clones. */
  template: string;
}

export interface StartedPostgres extends TestPostgres {
  /** Stops the server that was started here; removes the run's databases from one that was not. */
  stop(): Promise<void>;
}

export interface TestDatabase {
  url: string;
  /** Removes the database, with those who are still connected to it. */
  drop(): Promise<void>;
}

/**
 * The Postgres of a test run with a migrated template database: the server of TELLWIRE_TEST_DATABASE_URL where that is set, else one that
 * is started on a free loopback port, with its data in a temporary folder.
 */
export async function startPostgres(): Promise<StartedPostgres> {
  const given = process.env.TELLWIRE_TEST_DATABASE_URL;
  const server = given ? { url: given, stop: () => Promise.resolve() } : await startPostgresServer(settings);
  const template = `tellwire_test_${randomBytes(4).toString("hex")}`;
  const postgres = { url: server.url, template };
  try {
    await query(server.url, `create database ${template}`);
    const database = await openTestPostgres(databaseUrl(server.url, template), { maxConnections: 2 });
    try {
      await database.migrate();
    } finally {
      await database.close();
    }
  } catch (error) {
    await server.stop();
    throw error;
  }
  return {
    ...postgres,
    async stop() {
      if (given) {
        await dropDatabases(postgres);
      }
      await server.stop();
    },
  };
}

/** A database of its own with all tables, empty, for a test file: made in a few milliseconds as a copy of the template. */
export async function createTestDatabase(postgres: TestPostgres = inject("postgres")): Promise<TestDatabase> {
  const name = `${postgres.template}_${randomBytes(6).toString("hex")}`;
  await queryWhenLeft(postgres.url, `create database ${name} template ${postgres.template}`);
  return {
    url: databaseUrl(postgres.url, name),
    async drop() {
      await queryWhenLeft(postgres.url, `drop database if exists ${name} with (force)`);
    },
  };
}

/** Nothing of a test run needs to survive a crash of the machine. */
const settings = { fsync: "off", full_page_writes: "off" };

async function dropDatabases({ url, template }: TestPostgres): Promise<void> {
  const rows = await query(url, `select datname from pg_database where datname like '${template}%'`);
  for (const { datname } of rows) {
    await queryWhenLeft(url, `drop database if exists ${datname} with (force)`);
  }
}

/**
 * Copies or drops a database when nobody is connected to it. Those who close a connection do not wait for the server's end of it, and the server
 * waits for it five seconds only.
 */
async function queryWhenLeft(url: string, text: string): Promise<void> {
  await waitFor(
    () =>
      query(url, text).then(
        () => true,
        (error: unknown) => {
          if ((error as { code?: string }).code === objectInUse) return false;
          throw error;
        },
      ),
    { what: `${text}: nobody else to be connected` },
  );
}

/** SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html */
const objectInUse = "55006";

async function query(url: string, text: string): Promise<{ datname: string }[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 60_000 });
  // A server that goes down says so on the connection too; the query or connect fails by itself.
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.query(text)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

function databaseUrl(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
