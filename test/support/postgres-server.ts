import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { startOnFreePort } from "./free-port.ts";
import { findServerBinaries, versionedFolders } from "./server-binaries.ts";
import { startServerProcess } from "./server-process.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";

/** A Postgres server of our own. */
export interface PostgresServer {
  /** A superuser's URL, of the database `postgres`. */
  url: string;
  /** The postmaster's. */
  pid: number;
  /** Ends the server, the sessions that are open included, and removes its data. */
  stop(): Promise<void>;
}

/** Starts a new cluster with these settings (as in postgresql.conf) on a free loopback port, with its data in a temporary folder. */
export async function startPostgresServer(settings: Readonly<Record<string, string>>): Promise<PostgresServer> {
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
          ...Object.entries({ ...loopbackOnly, ...settings }).flatMap(([key, value]) => ["-c", `${key}=${value}`]),
        ],
        folder: folder.path,
        user,
        // Fast shutdown ends the sessions that are open; immediate shutdown does not wait for anything.
        stopSignal: "SIGINT",
        guardSignal: "SIGQUIT",
        isReady: () => answers(address),
      }),
    };
  });
  return {
    url,
    pid: server.pid,
    async stop() {
      await server.stop();
      folder.remove();
    },
  };
}

const loopbackOnly = { listen_addresses: "127.0.0.1", unix_socket_directories: "" };

/** Postgres refuses to run as root. */
function unprivilegedUser(): { uid: number; gid: number } {
  for (const name of ["postgres", "nobody"]) {
    try {
      const [uid, gid] = ["-u", "-g"].map((option) =>
        Number(execFileSync("id", [option, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })),
      );
      if (uid !== undefined && gid !== undefined) return { uid, gid };
    } catch {
      // No such user: the next one.
    }
  }
  throw new Error(
    "Postgres does not run as root, and there is neither a user postgres nor nobody: run this as another user",
  );
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A server that goes down says so on the connection too; the query or connect fails by itself.
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("select 1");
    return true;
  } finally {
    await client.end().catch(() => {});
  }
}
