import { loadavg } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { Published } from "../processes/publisher.ts";
import type { ReceiverReport } from "../processes/receiver.ts";
import { cpuMsOf, memoryOf, type ProcessMemory } from "./process-usage.ts";
import type { Session } from "./session.ts";
import type { Stage } from "./stage.ts";
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
  /** To the receiver, while the counted events were delivered. */
  connectionsOpened: number;
  /** Until everything was recorded, for a thousand deliveries, in milliseconds of CPU. */
  cpuMsPerThousand: Record<string, number>;
  /** Of Tellwire's processes. */
  memoryAtRest: ProcessMemory[];
  memory: ProcessMemory[];
  /** Of the machine over the last minute, when the measurement was over. */
  loadAverage: number;
}

/** Something that delivers events: Tellwire, or what it is compared with. */
export interface Pipeline {
  /** Publishes that many events and waits until they are delivered and recorded. */
  deliver(events: number): Promise<{ published: Published; receipts: ReceiverReport }>;
  /** How many deliveries each event causes. */
  fanOut: number;
  /** The process whose memory is told. */
  pid: number;
  memoryAtRest: ProcessMemory[];
  /** The processes at work, by what they are called in the tables. */
  pids: Record<string, number>;
}

/** Lets Tellwire deliver some events that are not counted, then the events that are. */
export async function measureBurst(session: Session, traffic: Traffic, counts: BurstCounts): Promise<BurstResult> {
  const { stage, tellwire, memoryAtRest } = session;
  const { postgres, nats, publisher, receiver } = stage;
  const pids = { tellwire, postgres, nats, publisher, receiver };
  return await measurePipeline(
    {
      deliver: (events) => deliverBurst(session, traffic, events),
      fanOut: traffic.fanOut,
      pid: tellwire.pid,
      memoryAtRest,
      pids: Object.fromEntries(Object.entries(pids).map(([name, { pid }]) => [name, pid])),
    },
    counts,
  );
}

/** The same for anything that delivers. */
export async function measurePipeline(
  { deliver, fanOut, pid, pids, memoryAtRest }: Pipeline,
  { events, warmUpEvents }: BurstCounts,
): Promise<BurstResult> {
  if (warmUpEvents > 0) await deliver(warmUpEvents);
  const cpuOf = (): number[] => Object.values(pids).map(cpuMsOf);
  const before = cpuOf();
  const { published, receipts } = await deliver(events);
  const after = cpuOf();
  const deliveries = events * fanOut;
  const perThousand = (place: number): number =>
    (((after[place] ?? Number.NaN) - (before[place] ?? Number.NaN)) / deliveries) * 1000;
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
    connectionsOpened: receipts.connectionsOpened,
    cpuMsPerThousand: Object.fromEntries(Object.keys(pids).map((name, place) => [name, perThousand(place)])),
    memoryAtRest,
    memory: memoryOf(pid),
    loadAverage: loadavg()[0] ?? Number.NaN,
  };
}

/** How many events are published, and how many before that are not counted. */
export interface BurstCounts {
  events: number;
  warmUpEvents: number;
}

/** Publishes events and waits until all of them have arrived and are acknowledged, or until none has arrived for a while. */
export async function deliverBurst(session: Session, { group, subjects, fanOut }: Traffic, count: number) {
  const { publisher, receiver } = session.stage;
  await receiver.call("reset", { group });
  const published = await publisher.call("burst", { subjects, count });
  await waitForReceipts(session.stage, group, count * fanOut);
  await session.settle();
  return { published, receipts: await receiver.call("report", { group }) };
}

/** Waits until that many requests of the group have arrived, or none has for 20 seconds. */
export async function waitForReceipts({ receiver }: Stage, group: string, wanted: number): Promise<void> {
  let count = -1;
  let lastChangeMs = performance.now();
  while (performance.now() - lastChangeMs < silenceMs) {
    const now = await receiver.call("count", { group });
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

const silenceMs = 20_000;
const pollMs = 20;

function seconds(fromMicros: number, toMicros: number): number {
  return (toMicros - fromMicros) / 1e6;
}
