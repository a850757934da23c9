import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { inject } from "vitest";
import { openPostgres } from "../../src/store/database.ts";
import { findServerBinaries, versionedFolders } from "./server-binaries.ts";
import { type ServerProcess, startServerProcess } from "./server-process.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";

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
  const server = given ? { url: given, stop: () => Promise.resolve() } : await startOwnServer();
  const template = `tellwire_test_${randomBytes(4).toString("hex")}`;
  const postgres = { url: server.url, template };
  try {
    await query(server.url, `create database ${template}`);
    const database = await openPostgres(databaseUrl(server.url, template), { maxConnections: 2 });
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
  await query(postgres.url, `create database ${name} template ${postgres.template}`);
  return {
    url: databaseUrl(postgres.url, name),
    async drop() {
      await query(postgres.url, `drop database if exists ${name} with (force)`);
    },
  };
}

async function startOwnServer(): Promise<{ url: string; stop(): Promise<void> }> {
  const binaries = findServerBinaries({
    server: "a Postgres server",
    programs: ["initdb", "postgres"],
    folders: versionedFolders("/usr/lib/postgresql"),
    debianPackage: "postgresql",
    variable: "TELLWIRE_TEST_DATABASE_URL",
  });
  const folder = makeTemporaryFolder("postgres");
  const user = process.getuid?.() === 0 ? unprivilegedUser() : undefined;
  if (user !== undefined) {
    chownSync(folder.path, user.uid, user.gid);
  }
  const password = randomBytes(16).toString("hex");
  const passwordFile = join(folder.path, "password");
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user !== undefined) {
    chownSync(passwordFile, user.uid, user.gid);
  }
  const data = join(folder.path, "data");
  execFileSync(
    join(binaries, "initdb"),
    ["-D", data, "-U", "tellwire", "-A", "scram-sha-256", `--pwfile=${passwordFile}`, "-E", "UTF8", "--locale=C", "-N"],
    { ...user, cwd: "/", stdio: ["ignore", "ignore", "inherit"] },
  );
  const { server, url } = await startOnFreePort(async (port) => {
    const address = `postgres://tellwire:${password}@127.0.0.1:${port}/postgres`;
    return {
      url: address,
      server: await startServerProcess({
        program: join(binaries, "postgres"),
        args: [
          "-D",
          data,
          "-p",
          `${port}`,
          ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
        ],
        folder: folder.path,
        user,
        // Fast shutdown ends the sessions that are open; immediate shutdown does not wait for anything.
        stopSignal: "SIGINT",
        guardSignal: "SIGQUIT",
        isReady: () => query(address, "select 1").then(() => true),
      }),
    };
  });
  return {
    url,
    async stop() {
      await server.stop();
      folder.remove();
    },
  };
}

/** Nothing of a test run needs to survive a crash of the machine. */
const settings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200",
  fsync: "off",
  full_page_writes: "off",
};

/** Postgres refuses to run as root. */
function unprivilegedUser(): { uid: number; gid: number } {
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((option) =>
        Number(execFileSync("id", [option, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })),
      );
      return { uid: uid!, gid: gid! };
    } catch {
      // No such user: the next one.
    }
  }
  throw new Error(
    "Postgres does not run as root, and there is neither a user postgres nor nobody: run the tests as another user",
  );
}

/** Another process may take the port between the choice and the start: then the next one is tried. */
async function startOnFreePort<Started extends { server: ServerProcess }>(
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  for (let triesLeft = 2; ; triesLeft--) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof Error && error.message.includes("Address already in use"))) {
        throw error;
      }
    }
  }
}

async function freePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer().once("error", reject);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
  });
  return await promise;
}

async function dropDatabases({ url, template }: TestPostgres): Promise<void> {
  const rows = await query(url, `select datname from pg_database where datname like '${template}%'`);
  for (const { datname } of rows) {
    await query(url, `drop database if exists ${datname} with (force)`);
  }
}

async function query(url: string, text: string): Promise<{ datname: string }[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
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
