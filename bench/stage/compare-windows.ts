import { median } from "../median.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";

/** Every latency of one round, in milliseconds: in a window without something, and in one beside it. */
export interface LatencyWindows {
  before: Float64Array;
  beside: Float64Array;
}

/** What something does to latencies, over several rounds. NaN where there is none. */
export interface WindowComparison {
  /** Of the latencies of all rounds together, each of which counts as much as any other. */
  before: Quantiles;
  beside: Quantiles;
  /** Of the p99 beside to the p99 before, for each round. */
  p99Ratios: number[];
  /** Of the rounds' ratios the median, which a chance moment in one round hardly moves; and the ratio of the two p99 above. */
  p99Ratio: { medianOfRounds: number; allRounds: number };
}

/** Compares the windows of each round, and those of all rounds together, exactly. */
export function compareWindows(rounds: readonly LatencyWindows[]): WindowComparison {
  const before = quantilesOf(together(rounds.map((round) => round.before)));
  const beside = quantilesOf(together(rounds.map((round) => round.beside)));
  const p99Ratios = rounds.map((round) => quantilesOf(round.beside).p99 / quantilesOf(round.before).p99);
  return {
    before,
    beside,
    p99Ratios,
    p99Ratio: { medianOfRounds: median(p99Ratios), allRounds: beside.p99 / before.p99 },
  };
}

function together(samples: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(samples.reduce((length, sample) => length + sample.length, 0));
  let end = 0;
  for (const sample of samples) {
    all.set(sample, end);
    end += sample.length;
  }
  return all;
}
