import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { waitFor } from "../../test/support/wait-for.ts";
import { memoryOf, type ProcessMemory } from "./process-usage.ts";
import type { Stage } from "./stage.ts";
import { startTellwireServer, type TellwireServer } from "./tellwire-server.ts";

/** A Tellwire that runs on a database, with empty streams. */
export interface Session {
  stage: Stage;
  tellwire: TellwireServer;
  databaseUrl: string;
  /** The memory of its processes right after the start, before it had anything to do. */
  memoryAtRest: ProcessMemory[];
  /** Waits until every message is acknowledged, and so every delivery recorded. */
  settle(): Promise<void>;
}

/** Starts Tellwire for some work and stops it after it, whatever becomes of the work. */
export async function withSession<Result>(
  stage: Stage,
  options: { databaseUrl: string; variables?: Readonly<Record<string, string>> },
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const connection = await connect({ servers: stage.nats.url });
  try {
    const manager = await jetstreamManager(connection);
    for await (const name of manager.streams.names()) await manager.streams.delete(name);
    const tellwire = await startTellwireServer(stage.program, {
      databaseUrl: options.databaseUrl,
      natsUrl: stage.nats.url,
      secretsKey: stage.secretsKey,
      variables: options.variables ?? {},
    });
    stage.closing.add(() => tellwire.stop());
    try {
      return await work({
        stage,
        tellwire,
        databaseUrl: options.databaseUrl,
        memoryAtRest: memoryOf(tellwire.pid),
        settle: () => settle(manager),
      });
    } finally {
      await tellwire.stop();
    }
  } finally {
    await connection.close();
  }
}

async function settle(manager: JetStreamManager): Promise<void> {
  await waitFor(
    async () => {
      for await (const { config } of manager.streams.list()) {
        for await (const { num_pending, num_ack_pending } of manager.consumers.list(config.name)) {
          if (num_pending + num_ack_pending > 0) return false;
        }
      }
      return true;
    },
    { timeoutMs: 120_000, what: "every message to be acknowledged" },
  );
}
