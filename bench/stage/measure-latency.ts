import type { Published } from "../processes/publisher.ts";
import { deliverBurst, waitForReceipts } from "./measure-burst.ts";
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
}

/** Publishes at a constant rate whatever becomes of it (open loop), and waits until all of it has arrived. */
export async function measureLatency(
  session: Session,
  { group, subjects, fanOut }: Traffic,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<LatencyResult> {
  const { publisher, receiver } = session.stage;
  await receiver.call("reset", { group });
  const published: Published = await publisher.call("steady", { subjects, perSecond, seconds });
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
  };
}

/** Brings the process to its speed: some events at once, then some at the rate. */
export async function warmUp(
  session: Session,
  traffic: Traffic,
  { events, perSecond, seconds }: { events: number; perSecond: number; seconds: number },
): Promise<void> {
  await deliverBurst(session, traffic, events);
  await measureLatency(session, traffic, { perSecond, seconds });
}
