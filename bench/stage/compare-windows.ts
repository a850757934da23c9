import { median, middleHalf } from "../median.ts";
import { type Quantiles, quantilesOf } from "./quantiles.ts";

/** Every latency of two windows that follow each other, in milliseconds: of one without something, and of one beside it. */
export interface WindowPair {
  alone: Float64Array;
  beside: Float64Array;
}

/** What something does to latencies, over several pairs. NaN where there is none. */
export interface WindowComparison {
  /** Of the latencies of all pairs together, each of which counts as much as any other. */
  alone: Quantiles;
  beside: Quantiles;
  /** Of the p99 beside to the p99 alone, for each pair. */
  p99Ratios: number[];
  /**
   * Of the two p99 above, which is what is told: the slowest hundredth of all deliveries is what a user would see. And of the pairs' ratios the median, and
   * between what the middle half of them lies, which says how far windows differ by chance.
   */
  p99Ratio: { allDeliveries: number; medianOfPairs: number; middleHalf: [number, number] };
}

/** Compares the windows of each pair, and those of all pairs together, exactly. */
export function compareWindows(pairs: readonly WindowPair[]): WindowComparison {
  const alone = quantilesOf(together(pairs.map((pair) => pair.alone)));
  const beside = quantilesOf(together(pairs.map((pair) => pair.beside)));
  const p99Ratios = pairs.map((pair) => quantilesOf(pair.beside).p99 / quantilesOf(pair.alone).p99);
  return {
    alone,
    beside,
    p99Ratios,
    p99Ratio: {
      allDeliveries: beside.p99 / alone.p99,
      medianOfPairs: median(p99Ratios),
      middleHalf: middleHalf(p99Ratios),
    },
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
