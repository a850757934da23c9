import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, rmSync } from "node:fs";
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
    let address: string | undefined;
    for (const file of portsFiles(folder.path)) {
      rmSync(file);
    }
    const server = await startServerProcess({
      program: join(binaries, "nats-server"),
      args: ["-a", "127.0.0.1", "-p", `${port}`, "-js", "-sd", folder.path, "--ports_file_dir", folder.path],
      folder: folder.path,
      stopSignal: "SIGTERM",
      guardSignal: "SIGKILL",
      async isReady() {
        address = readAddress(folder.path);
        return address !== undefined;
      },
    });
    return { server, url: address ?? "" };
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

/** Removes the streams of these names, where they exist. */
export async function removeStreams(url: string, names: NatsNames): Promise<void> {
  const connection = await connect({ servers: url });
  try {
    const manager = await jetstreamManager(connection, { timeout: 60_000 });
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

/** The server writes the address that it chose to `nats-server_<pid>.ports`. */
function readAddress(folder: string): string | undefined {
  const [file] = portsFiles(folder);
  if (file === undefined) {
    return undefined;
  }
  const addresses: { nats: string[] } = JSON.parse(readFileSync(file, "utf8"));
  return addresses.nats[0];
}

function portsFiles(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".ports"))
    .map((name) => join(folder, name));
}
