import { setTimeout as delay } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { DatabaseFindings, Progress } from "./database-findings.ts";

export interface Settled extends Progress {
  /** Whether nothing is left to do. */
  isDone: boolean;
  /** What the broker holds still: messages that nobody has taken, or that nobody has acknowledged. */
  pending: number;
  tookMs: number;
}

/** Longer than the broker waits for an acknowledgement, and than a lane's lease and the longest delay of a retry together. */
const noProgressMs = 75_000;
/** Even with progress: something goes round in a circle then. */
const settleTimeoutMs = 600_000;
const pollMs = 250;
const answerTimeoutMs = 60_000;

/**
 * Waits until nothing is left to do: nothing scheduled, no message that is not acknowledged, no lane that is due and forgotten. Gives up when
 * nothing has changed for a while; a circuit breaker that is open counts as a change, since it closes by itself.
 */
export async function settle({
  database,
  nats,
  requests,
}: {
  database: DatabaseFindings;
  nats: NatsConnection | undefined;
  /** How many requests the receivers got. */
  requests: () => number;
}): Promise<Settled> {
  const begunAt = performance.now();
  let last = "";
  let changedAt = begunAt;
  for (;;) {
    // The broker first: what it holds no longer is in the database by then. The other way round, a delivery could be in neither of the two pictures.
    const held = nats === undefined ? undefined : await pendingMessages(nats);
    const progress = await database.progress();
    const pending = held ?? progress.messages;
    const now = performance.now();
    const state = JSON.stringify([progress, pending, requests()]);
    if (state !== last || progress.openLanes > 0) {
      last = state;
      changedAt = now;
    }
    const isDone = progress.scheduled === 0 && pending === 0 && progress.forgottenLanes === 0;
    if (isDone || now - changedAt > noProgressMs || now - begunAt > settleTimeoutMs) {
      return { ...progress, isDone, pending, tookMs: Math.round(now - begunAt) };
    }
    await delay(pollMs);
  }
}

async function pendingMessages(nats: NatsConnection): Promise<number> {
  const manager = await jetstreamManager(nats, { timeout: answerTimeoutMs });
  const { num_pending, num_ack_pending } = await manager.consumers.info("TELLWIRE_EVENTS", "tellwire-dispatcher");
  return num_pending + num_ack_pending;
}
