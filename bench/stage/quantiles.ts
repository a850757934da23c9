/** How a sample is spread. NaN throughout where it is empty. */
export interface Quantiles {
  count: number;
  min: number;
  p50: number;
  p99: number;
  p999: number;
  max: number;
}

/** The quantiles of a sample by nearest rank, exactly: all of its values are sorted. */
export function quantilesOf(sample: Float64Array): Quantiles {
  const sorted = sample.toSorted();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { count: sorted.length, min: at(0), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}
