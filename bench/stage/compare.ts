import { median } from "../median.ts";

/** Two ways to do the same, measured in turns. */
export interface Comparison<Result> {
  /** The median of the rounds' ratios, `other` to `plain`. */
  ratio: number;
  ratios: number[];
  plain: Result[];
  other: Result[];
}

/** Measures both in alternating rounds, in changing order, so that what else the machine does falls on both. */
export async function compare<Result extends { perSecond: number }>(
  rounds: number,
  measure: { plain: () => Promise<Result>; other: () => Promise<Result> },
): Promise<Comparison<Result>> {
  const results = { plain: [] as Result[], other: [] as Result[] };
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (["plain", "other"] as const) : (["other", "plain"] as const);
    for (const name of order) results[name].push(await measure[name]());
  }
  const ratios = results.other.map(
    ({ perSecond }, round) => perSecond / (results.plain[round]?.perSecond ?? Number.NaN),
  );
  return { ratio: median(ratios), ratios, ...results };
}
