import type { DisturbanceCounts } from "./disturb.ts";
import type { Published } from "./publisher.ts";
import type { Servers } from "./servers.ts";
import type { Settled } from "./settle.ts";
import type { Verdict } from "./verdict.ts";

/** A run's figures. */
export interface ChaosReport {
  broker: "jetstream" | "postgres";
  seed: number;
  events: number;
  processes: number;
  accepted: number;
  unacknowledged: number;
  republished: number;
  expected: number;
  received: number;
  exhausted: number;
  exhaustedForTrouble: number;
  lost: number;
  stuck: number;
  duplicates: number;
  /** Undefined where no webhook was ordered. */
  inversions: number | undefined;
  /** Of deliveries of events that nobody acknowledged: how many arrived. */
  unacknowledgedReceived: number;
  disturbances: DisturbanceCounts;
  /** Processes that ended by themselves, and those that did not end on SIGTERM in time. */
  crashes: number;
  lateEnds: number;
  settled: Settled;
  durationMs: number;
  hasFailed: boolean;
}

/** What a run leaves. */
export interface RunFindings {
  options: Pick<ChaosReport, "broker" | "seed" | "events" | "processes">;
  hasOrdering: boolean;
  published: Published;
  verdict: Verdict;
  counts: DisturbanceCounts;
  servers: Servers;
  settled: Settled;
  durationMs: number;
}

/** The figures of what was found. */
export function reportOf({
  options,
  hasOrdering,
  published,
  verdict,
  counts,
  servers,
  settled,
  durationMs,
}: RunFindings): ChaosReport {
  const { broker, seed, events, processes } = options;
  const slots = [...servers.slots.values()];
  const inversions = hasOrdering ? verdict.inversions.length : undefined;
  return {
    broker,
    seed,
    events,
    processes,
    accepted: published.accepted,
    unacknowledged: published.unacknowledged,
    republished: published.repeated,
    expected: verdict.expected,
    received: verdict.received,
    exhausted: verdict.exhausted,
    exhaustedForTrouble: verdict.exhaustedForTrouble,
    lost: verdict.lost.length,
    // Beside deliveries: messages that nobody acknowledges, and lanes that nobody takes.
    stuck: verdict.stuck.length + settled.pending + settled.forgottenLanes,
    duplicates: verdict.duplicates,
    inversions,
    unacknowledgedReceived: verdict.unacknowledged.received,
    disturbances: counts,
    crashes: slots.reduce((sum, slot) => sum + slot.crashes(), 0),
    lateEnds: slots.reduce((sum, slot) => sum + slot.lateEnds(), 0),
    settled,
    durationMs,
    hasFailed: verdict.lost.length > 0 || !settled.isDone || verdict.stuck.length > 0 || (inversions ?? 0) > 0,
  };
}
