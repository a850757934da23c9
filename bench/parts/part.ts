import type { Behaviour } from "../processes/receiver.ts";
import type { Stage } from "../stage/stage.ts";

/** One part of the bench: it can be run alone. */
export interface Part {
  help: string;
  /** Measures, prints its tables, and returns what is to be kept of it. Throws LossError where deliveries were lost. */
  run(run: BenchRun): Promise<object>;
}

/** What the parts of one run share. */
export interface BenchRun {
  stage: Stage;
  scale: Scale;
}

/**
 * The receivers that the throughput is measured with: one on node:http, as receivers are written, and one that reads HTTP by itself and leaves
 * more of the machine to the sender.
 */
export const receivers = [
  { name: "node:http", behaviour: "node" },
  { name: "bare", behaviour: "ok" },
] as const satisfies readonly { name: string; behaviour: Behaviour }[];

/** How much is measured. */
export interface Scale {
  /** How often both sides of a ratio are measured, in turns. */
  rounds: number;
  events: number;
  /** Not counted. V8 goes on compiling what is used most for some 20,000 of them. */
  warmUpEvents: number;
  ceilingSeconds: number;
  /** At half of the maximum, after the burst that told it and before latencies are measured. */
  settleSeconds: number;
  /** Of each window in which latencies are measured. */
  latencySeconds: number;
  /** How often a window of latencies is measured at most, where much of the machine was stolen. */
  windowTries: number;
  /** How many bursts tell the maximum, which is the middle one of them. */
  burstsForMaximum: number;
  /** How often each trouble begins with a new database. */
  neighbourRounds: number;
  /** How many windows without a trouble and beside it are measured in a round: pairs, in changing order. */
  neighbourPairs: number;
  /** Of each of these windows. */
  neighbourSeconds: number;
  /** At the same rate before each of them, not counted: for as long as requests of a trouble may be under way after its end. */
  neighbourSettleSeconds: number;
  /** How long a trouble of others goes on before anything is measured, for the code that only troubles run. */
  troubleWarmUpSeconds: number;
  fanOutRounds: number;
  /** Deliveries that wait beside the traffic. */
  waitingDeliveries: number;
  organizations: number;
  /** Rows of finished deliveries. */
  rows: number;
}

/** What the figures in the documentation are measured with. */
export const fullScale: Scale = {
  rounds: 3,
  events: 50_000,
  warmUpEvents: 25_000,
  ceilingSeconds: 4,
  settleSeconds: 20,
  latencySeconds: 30,
  windowTries: 3,
  burstsForMaximum: 3,
  neighbourRounds: 2,
  neighbourPairs: 6,
  neighbourSeconds: 10,
  neighbourSettleSeconds: 5,
  troubleWarmUpSeconds: 3,
  fanOutRounds: 10,
  waitingDeliveries: 200_000,
  organizations: 10_000,
  rows: 5_000_000,
};

/** Enough to see that everything works, and the order of magnitude. */
export const quickScale: Scale = {
  rounds: 1,
  events: 8_000,
  warmUpEvents: 3_000,
  ceilingSeconds: 2,
  settleSeconds: 3,
  latencySeconds: 6,
  windowTries: 2,
  burstsForMaximum: 1,
  neighbourRounds: 1,
  neighbourPairs: 2,
  neighbourSeconds: 4,
  neighbourSettleSeconds: 1,
  troubleWarmUpSeconds: 1,
  fanOutRounds: 3,
  waitingDeliveries: 20_000,
  organizations: 1_000,
  rows: 200_000,
};
