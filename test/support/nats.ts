import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { JetStreamApiCodes, JetStreamApiError, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { findServerBinaries } from "./server-binaries.ts";
import { startServerProcess } from "./server-process.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";

/** A nats-server with JetStream that belongs to one test, which may crash it. */
export interface PrivateNats {
  /** `nats://127.0.0.1:<port>`: the same after a restart. */
  url: string;
  /** Another one after a restart. */
  readonly pid: number;
  /** Ends the server in good order and removes its data. */
  stop(): Promise<void>;
  /** Ends the server with SIGKILL. Its data stay. */
  kill(): Promise<void>;
  /** Starts the server again after a kill, on the same port and data. */
  restart(): Promise<void>;
}

/** Names that no other test has, to share one server: options for `openJetStream`. */
export interface NatsNames {
  stream: string;
  rejectedStream: string;
  subjectPrefix: string;
  consumer: string;
}

/** Starts a nats-server with JetStream on a free loopback port, with its data in a temporary folder. */
export async function startNats(): Promise<PrivateNats> {
  const binaries = findServerBinaries({
    server: "a nats-server",
    programs: ["nats-server"],
    folders: ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin"],
    debianPackage: "nats-server",
    variable: "TELLWIRE_TEST_NATS_URL",
  });
  const folder = makeTemporaryFolder("nats");
  /** -1 lets the server choose. */
  const start = async (port: number) => {
    let url: string | undefined;
    const log = join(folder.path, "log");
    // After a restart the lines of before stand in front.
    const offset = existsSync(log) ? statSync(log).size : 0;
    const server = await startServerProcess({
      program: join(binaries, "nats-server"),
      args: ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", folder.path],
      folder: folder.path,
      stopSignal: "SIGTERM",
      guardSignal: "SIGKILL",
      async isReady() {
        url = readUrl(readFileSync(log).subarray(offset).toString());
        return url !== undefined;
      },
    });
    return { server, url: url ?? "" };
  };
  let running = await start(-1);
  const { url } = running;
  return {
    url,
    get pid() {
      return running.server.pid;
    },
    async stop() {
      await running.server.stop();
      folder.remove();
    },
    kill: () => running.server.kill(),
    async restart() {
      running = await start(Number(new URL(url).port));
    },
  };
}

/** The server of a test run: that of TELLWIRE_TEST_NATS_URL where it is set, else one that is started. */
export async function startSharedNats(): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env.TELLWIRE_TEST_NATS_URL;
  return given ? { url: given, stop: () => Promise.resolve() } : await startNats();
}

/** Names for one test file. Give them to `removeStreams` at its end. */
export function uniqueNatsNames(): NatsNames {
  const suffix = randomBytes(6).toString("hex");
  return {
    stream: `TEST_EVENTS_${suffix}`,
    rejectedStream: `TEST_REJECTED_${suffix}`,
    subjectPrefix: `test-${suffix}`,
    consumer: `test-dispatcher-${suffix}`,
  };
}

/** How long a test waits for an answer of NATS. Only keeps a run from hanging. */
export const patienceMs = 60_000;

/** Removes the streams of these names, where they exist. */
export async function removeStreams(url: string, names: NatsNames): Promise<void> {
  const connection = await connect({ servers: url, timeout: patienceMs });
  try {
    const manager = await jetstreamManager(connection, { timeout: patienceMs });
    for (const stream of [names.stream, names.rejectedStream]) {
      await manager.streams.delete(stream).catch((error: unknown) => {
        if (!(error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)) {
          throw error;
        }
      });
    }
  } finally {
    await connection.close();
  }
}

/**
 * Where a server listens that says that it is ready. Its log is asked, since it gives up writing its file of ports where it takes longer than five
 * seconds to begin.
 */
function readUrl(log: string): string | undefined {
  const [, address] = /Listening for client connections on (\S+)\n.*Server is ready\n/s.exec(log) ?? [];
  return address === undefined ? undefined : `nats://${address}`;
}
