import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { ReceiverReport } from "../processes/receiver.ts";
import { cpuMsOf, memoryOf, type ProcessMemory } from "./process-usage.ts";
import type { Session } from "./session.ts";
import type { Traffic } from "./webhooks.ts";

/** What became of a number of events that were published as fast as the stream takes them. */
export interface BurstResult {
  events: number;
  /** Deliveries that are to arrive. */
  deliveries: number;
  /** Deliveries a second from the first publish to the last receipt. */
  perSecond: number;
  /** Between the first tenth of the receipts and the last. */
  steadyPerSecond: number;
  /** Events a second that the publisher got into the stream. */
  publishedPerSecond: number;
  lost: number;
  duplicates: number;
  signaturesChecked: number;
  signaturesWrong: number;
  /** Until everything was recorded, for a thousand deliveries, in milliseconds of CPU. */
  cpuMsPerThousand: Record<string, number>;
  /** Of Tellwire's processes. */
  memoryAtRest: ProcessMemory[];
  memory: ProcessMemory[];
  /** Of the machine over the last minute, when the measurement was over. */
  loadAverage: number;
}

/** Publishes some events that are not counted, then the events that are, and waits until all of it is delivered and recorded. */
export async function measureBurst(
  session: Session,
  traffic: Traffic,
  { events, warmUpEvents }: { events: number; warmUpEvents: number },
): Promise<BurstResult> {
  await deliverBurst(session, traffic, warmUpEvents);
  const cpuBefore = cpuOf(session);
  const { published, receipts } = await deliverBurst(session, traffic, events);
  const cpuAfter = cpuOf(session);
  const deliveries = events * traffic.fanOut;
  const used = Object.entries(cpuAfter).map(([name, cpuMs]) => [
    name,
    ((cpuMs - (cpuBefore[name] ?? 0)) / deliveries) * 1000,
  ]);
  return {
    events,
    deliveries,
    perSecond: deliveries / seconds(published.firstAt, receipts.lastAt),
    steadyPerSecond: (deliveries * 0.8) / seconds(receipts.tenthAt, receipts.nineTenthsAt),
    publishedPerSecond: events / seconds(published.firstAt, published.lastTakenAt),
    lost: deliveries - receipts.distinct,
    duplicates: receipts.received - receipts.distinct,
    signaturesChecked: receipts.signaturesChecked,
    signaturesWrong: receipts.signaturesWrong,
    cpuMsPerThousand: Object.fromEntries(used),
    memoryAtRest: session.memoryAtRest,
    memory: memoryOf(session.tellwire.pid),
    loadAverage: loadavg()[0] ?? Number.NaN,
  };
}

/** Publishes events and waits until all of them have arrived and are acknowledged, or until none has arrived for a while. */
export async function deliverBurst(session: Session, { group, subjects, fanOut }: Traffic, count: number) {
  const { publisher, receiver } = session.stage;
  await receiver.call("reset", { group });
  const published = await publisher.call("burst", { subjects, count });
  await waitForReceipts(session, group, count * fanOut);
  await session.settle();
  return { published, receipts: await receiver.call("report", { group }) };
}

/** Waits until that many requests of the group have arrived, or none has for 20 seconds. */
export async function waitForReceipts({ stage }: Session, group: string, wanted: number): Promise<void> {
  let count = -1;
  let lastChangeMs = performance.now();
  while (performance.now() - lastChangeMs < silenceMs) {
    const now = await stage.receiver.call("count", { group });
    if (now >= wanted) return;
    if (now !== count) lastChangeMs = performance.now();
    count = now;
    await delay(pollMs);
  }
}

/** Throws where deliveries were lost or signed wrongly: then no other number means anything. */
export function requireComplete(result: Pick<BurstResult, "lost" | "signaturesWrong">, what: string): void {
  if (result.lost > 0) throw new LossError(`${what}: ${result.lost} deliveries were lost`);
  if (result.signaturesWrong > 0) throw new LossError(`${what}: ${result.signaturesWrong} signatures were wrong`);
}

/** What was measured is worth nothing. */
export class LossError extends Error {}

/** Which parts of a receiver's report these are. */
export type Receipts = ReceiverReport;

const silenceMs = 20_000;
const pollMs = 20;

function seconds(fromMicros: number, toMicros: number): number {
  return (toMicros - fromMicros) / 1e6;
}

function cpuOf({ stage, tellwire }: Session): Record<string, number> {
  return {
    tellwire: cpuMsOf(tellwire.pid),
    postgres: cpuMsOf(stage.postgres.pid),
    nats: cpuMsOf(stage.nats.pid),
    publisher: cpuMsOf(stage.publisher.pid),
    receiver: cpuMsOf(stage.receiver.pid),
  };
}
