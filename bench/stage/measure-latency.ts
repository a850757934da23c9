import { median } from "../median.ts";
import type { Published } from "../processes/publisher.ts";
import { type BurstCounts, measureBurst, waitForReceipts } from "./measure-burst.ts";
import { type ProcessorShares, watchProcessors } from "./processor-shares.ts";
import type { Quantiles } from "./quantiles.ts";
import type { Session } from "./session.ts";
import type { Traffic } from "./webhooks.ts";

/** From publish to receipt at a constant rate. */
export interface LatencyResult {
  /** Events a second. */
  perSecond: number;
  seconds: number;
  latencyMs: Quantiles;
  /** How late the publisher was by its own plan: where this is much, it was not the rate that is told. */
  publisherLateMs: Quantiles;
  lost: number;
  duplicates: number;
  signaturesWrong: number;
  /** While events were published. */
  processors: ProcessorShares;
}

/** Publishes at a constant rate whatever becomes of it (open loop), and waits until all of it has arrived. */
export async function measureLatency(
  session: Session,
  { group, subjects, fanOut }: Traffic,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<LatencyResult> {
  const { publisher, receiver } = session.stage;
  await receiver.call("reset", { group });
  const processorsMeanwhile = watchProcessors();
  const published: Published = await publisher.call("steady", { subjects, perSecond, seconds });
  const processors = processorsMeanwhile();
  const deliveries = published.count * fanOut;
  await waitForReceipts(session.stage, group, deliveries);
  const { latencyMs, received, distinct, signaturesWrong } = await receiver.call("report", { group });
  return {
    perSecond,
    seconds,
    latencyMs,
    publisherLateMs: published.lateMs,
    lost: deliveries - distinct,
    duplicates: received - distinct,
    signaturesWrong,
    processors,
  };
}

/** Events a second that the process delivers in a burst, measured now, on the machine as it is now: what else runs on it changes from minute to minute. */
export async function maximumNow(session: Session, traffic: Traffic, counts: BurstCounts): Promise<number> {
  const { perSecond } = await measureBurst(session, traffic, counts);
  return perSecond / traffic.fanOut;
}

/**
 * Lets some time pass at the rate, so that what is measured next finds everything at its speed: V8 compiles anew what goes another way than in a burst,
 * and the kernel writes to the disk what the burst has written.
 */
export async function settleAt(
  session: Session,
  traffic: Traffic,
  { perSecond, settleSeconds }: { perSecond: number; settleSeconds: number },
): Promise<void> {
  await measureLatency(session, traffic, { perSecond, seconds: settleSeconds });
}

/** Half of the maximum, which is the middle one of some bursts, after some time at that rate. */
export async function halfOfMaximum(
  session: Session,
  traffic: Traffic,
  counts: BurstCounts & { burstsForMaximum: number; settleSeconds: number },
): Promise<number> {
  const maxima: number[] = [];
  while (maxima.length < counts.burstsForMaximum) maxima.push(await maximumNow(session, traffic, counts));
  const perSecond = Math.round(median(maxima) / 2);
  await settleAt(session, traffic, { ...counts, perSecond });
  return perSecond;
}
