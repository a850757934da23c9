import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { startOnFreePort } from "./free-port.ts";
import { findServerBinaries, versionedFolders } from "./server-binaries.ts";
import { type ServerProcess, startServerProcess } from "./server-process.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";
import { waitFor } from "./wait-for.ts";

/** A Postgres server of its own, which its owner may crash. */
export interface PostgresServer {
  /** A superuser's URL: the same after a restart. */
  url: string;
  /** The postmaster's; another one after a restart. */
  readonly pid: number;
  /** What the server has printed. */
  logFile: string;
  /** Ends the server in good order and removes its data. */
  stop(): Promise<void>;
  /** Until a crash, nothing of what is written reaches the disk but what a commit waits for, and what was written before it. */
  holdLog(): Promise<void>;
  /** Ends the server and every process of it with SIGKILL: what they had under way is as it is on the disk. Its data stay. */
  kill(): Promise<void>;
  /** Starts the server again after a kill, on the same port and data. Throws where the port is taken meanwhile. */
  restart(): Promise<void>;
}

/** Starts a Postgres on a free loopback port, with its data in a temporary folder, and settings as `postgresql.conf` has them. */
export async function startPostgresServer(settings: Readonly<Record<string, string>> = {}): Promise<PostgresServer> {
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
  const all = { listen_addresses: "127.0.0.1", unix_socket_directories: "", max_connections: "200", ...settings };
  const start = async (port: number): Promise<{ url: string; server: ServerProcess }> => {
    const url = `postgres://tellwire:${password}@127.0.0.1:${port}/postgres`;
    const server = await startServerProcess({
      program: join(binaries, "postgres"),
      args: ["-D", data, "-p", `${port}`, ...Object.entries(all).flatMap(([key, value]) => ["-c", `${key}=${value}`])],
      folder: folder.path,
      user,
      // Fast shutdown ends the sessions that are open; immediate shutdown does not wait for anything.
      stopSignal: "SIGINT",
      guardSignal: "SIGQUIT",
      isReady: () => answers(url),
    });
    return { url, server };
  };
  const first = await startOnFreePort(start);
  const { url } = first;
  let { server } = first;
  /** The process that writes the log where nobody waits for it, while it is held. */
  let walWriter: number | undefined;
  return {
    url,
    get pid() {
      return server.pid;
    },
    logFile: join(folder.path, "log"),
    async stop() {
      // One that stands still would keep the server from its end.
      if (walWriter !== undefined) signalIfThere(walWriter, "SIGCONT");
      await server.stop();
      folder.remove();
    },
    async holdLog() {
      const pid = await walWriterOf(url);
      walWriter = pid;
      process.kill(pid, "SIGSTOP");
      await waitFor(() => standsStill(stateOf(pid)), { what: "the writer of the log to stand still" });
    },
    async kill() {
      // It stands still first, so that it starts no process that would be overlooked, and that would hold the data against a restart.
      signalIfThere(server.pid, "SIGSTOP");
      await waitFor(() => standsStill(stateOf(server.pid)), { what: "the postmaster to stand still" });
      const children = childrenOf(server.pid);
      const killed = server.kill();
      for (const child of children) {
        signalIfThere(child, "SIGKILL");
      }
      await killed;
      await waitFor(() => children.every((child) => hasEnded(stateOf(child))), { what: "the end of every process" });
      walWriter = undefined;
    },
    async restart() {
      server = (await start(Number(new URL(url).port))).server;
    },
  };
}

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

/** It begins when the server is ready, or a little later. */
async function walWriterOf(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 60_000 });
  client.on("error", () => {});
  await client.connect();
  try {
    const text = "select pid from pg_stat_activity where backend_type = 'walwriter'";
    return await waitFor(async () => (await client.query<{ pid: number }>(text)).rows[0]?.pid, {
      what: "the writer of the log",
    });
  } finally {
    await client.end().catch(() => {});
  }
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

/** The processes of a server's connections, and those that write for it. They are no group, so each is found by its parent. */
function childrenOf(pid: number): number[] {
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return table.split("\n").flatMap((line) => {
    const [child, parent] = line.trim().split(/\s+/).map(Number);
    return child !== undefined && parent === pid ? [child] : [];
  });
}

/** As `ps` writes it; empty where there is no such process. */
function stateOf(pid: number): string {
  const table = execFileSync("ps", ["-A", "-o", "pid=,stat="], { encoding: "utf8" });
  const line = table.split("\n").find((text) => Number.parseInt(text, 10) === pid);
  return line?.trim().split(/\s+/)[1] ?? "";
}

function standsStill(state: string): boolean {
  return state.startsWith("T") || hasEnded(state);
}

/** One that has ended may stay in the table, where nobody collects it. */
function hasEnded(state: string): boolean {
  return state === "" || state.startsWith("Z") || state.startsWith("X");
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
