import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readlinkSync } from "node:fs";
import { connect } from "@nats-io/transport-node";
import { startNats } from "../../test/support/nats.ts";
import { startPostgresServer } from "../../test/support/postgres-server.ts";
import type { PublisherCalls } from "../processes/publisher.ts";
import type { Behaviour, ReceiverCalls } from "../processes/receiver.ts";
import { type HarnessProcess, startHarnessProcess } from "./calls.ts";
import type { Closing } from "./closing.ts";
import { createDatabases, type Databases } from "./databases.ts";
import type { TellwireProgram } from "./tellwire-server.ts";

/** The servers of a run, and the processes at both ends: everything but Tellwire, which is started for each measurement. */
export interface Stage {
  program: TellwireProgram;
  postgres: { url: string; pid: number };
  nats: { url: string; pid: number };
  databases: Databases;
  publisher: HarnessProcess<PublisherCalls>;
  receiver: HarnessProcess<ReceiverCalls>;
  /** `http://127.0.0.1:<port>` for each way in which a receiver behaves. */
  origins: Record<Behaviour, string>;
  /** What every Tellwire of the run seals with, in base64. */
  secretsKey: string;
  versions: { postgres: string; nats: string };
  closing: Closing;
}

/**
 * Safe as in production, so that a commit costs what it costs there; enough memory and log not to measure checkpoints alone. Autovacuum comes four times a
 * minute in place of once, to each window of latencies alike: a minute after its making, a database always had it in the second of two.
 */
export const postgresSettings: Readonly<Record<string, string>> = {
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  max_connections: "200",
  shared_buffers: "512MB",
  max_wal_size: "4GB",
  autovacuum_naptime: "15s",
};

/** Starts the servers and the harness's processes. `closing` ends them, also where one does not start. */
export async function openStage(program: TellwireProgram, closing: Closing): Promise<Stage> {
  const postgres = await startPostgresServer(postgresSettings);
  closing.add(() => postgres.stop());
  const nats = await startNats();
  closing.add(() => nats.stop());
  const receiver = startHarnessProcess<ReceiverCalls>("receiver.ts");
  closing.add(() => receiver.stop());
  const publisher = startHarnessProcess<PublisherCalls>("publisher.ts");
  closing.add(() => publisher.stop());
  await publisher.call("connect", { url: nats.url });
  const { ok, node, slow, hang, fail } = await receiver.call("listen", null);
  const origin = (port: number): string => `http://127.0.0.1:${port}`;
  return {
    program,
    postgres,
    nats,
    databases: createDatabases(postgres.url, program),
    publisher,
    receiver,
    origins: { ok: origin(ok), node: origin(node), slow: origin(slow), hang: origin(hang), fail: origin(fail) },
    secretsKey: randomBytes(32).toString("base64"),
    versions: { postgres: versionOf(postgres.pid), nats: await natsVersion(nats.url) },
    closing,
  };
}

/** Of a server that runs here, as its program tells it. */
function versionOf(pid: number): string {
  return execFileSync(readlinkSync(`/proc/${pid}/exe`), ["--version"], { encoding: "utf8" }).trim();
}

async function natsVersion(url: string): Promise<string> {
  const connection = await connect({ servers: url });
  const version = connection.info?.version ?? "";
  await connection.close();
  return version;
}
