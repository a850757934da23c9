import { randomBytes } from "node:crypto";
import pg from "pg";
import { migrateDatabase, type TellwireProgram } from "./tellwire-server.ts";

/** The databases of a run, on one server. */
export interface Databases {
  /** A new one with all tables, empty. Returns its URL. */
  create(): Promise<string>;
  /** Removes one that nobody is connected to any more: Postgres goes on tidying it up for minutes otherwise, beside whatever is measured next. */
  drop(url: string): Promise<void>;
}

/** Makes databases as copies of one that Tellwire has brought up to date. */
export function createDatabases(serverUrl: string, program: TellwireProgram): Databases {
  const name = `bench_${randomBytes(4).toString("hex")}`;
  let made = 0;
  let isMigrated = false;
  return {
    async create() {
      if (!isMigrated) {
        await runSql(serverUrl, `create database ${name}`);
        migrateDatabase(program, databaseUrl(serverUrl, name));
        isMigrated = true;
      }
      made += 1;
      await runSql(serverUrl, `create database ${name}_${made} template ${name}`);
      return databaseUrl(serverUrl, `${name}_${made}`);
    },
    async drop(url) {
      await runSql(serverUrl, `drop database ${new URL(url).pathname.slice(1)}`);
    },
  };
}

/** Connects, runs one statement, and ends the connection. */
export async function runSql<Row extends pg.QueryResultRow = pg.QueryResultRow>(
  url: string,
  text: string,
  parameters: unknown[] = [],
): Promise<Row[]> {
  return await withDatabase(url, async (client) => (await client.query<Row>(text, parameters)).rows);
}

/** Connects for some work, and ends the connection after it. */
export async function withDatabase<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => {});
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}

function databaseUrl(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}
