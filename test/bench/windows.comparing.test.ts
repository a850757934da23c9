import { describe, expect, it } from "vitest";
import { compareWindows, type WindowPair } from "../../bench/stage/compare-windows.ts";

/** So many latencies of each kind, the worst first: what is compared is sorted by whoever compares it. */
function latencies(...kinds: readonly { ms: number; count: number }[]): Float64Array {
  return Float64Array.from(kinds.flatMap(({ ms, count }) => Array<number>(count).fill(ms)));
}

/** A window of a hundred: its p99 is the lower of the two that are worst. */
function windowWithP99(ms: number): Float64Array {
  return latencies({ ms: 10 * ms, count: 1 }, { ms, count: 1 }, { ms: 1, count: 98 });
}

describe("windows of latencies, compared in pairs", () => {
  it("one pair has the same ratio by itself and with all pairs together", () => {
    const { p99Ratios, p99Ratio } = compareWindows([{ alone: windowWithP99(10), beside: windowWithP99(25) }]);
    expect(p99Ratios).toEqual([2.5]);
    expect(p99Ratio).toMatchObject({ medianOfPairs: 2.5, allDeliveries: 2.5 });
  });

  it("the ratios of the pairs are in their order, and the middle one is kept", () => {
    const pair = (alone: number, beside: number): WindowPair => ({
      alone: windowWithP99(alone),
      beside: windowWithP99(beside),
    });
    const { p99Ratios, p99Ratio } = compareWindows([pair(10, 40), pair(10, 5), pair(10, 20)]);
    expect(p99Ratios).toEqual([4, 0.5, 2]);
    expect(p99Ratio.medianOfPairs).toBe(2);
  });

  it("the middle half of the pairs is between the medians of the lower and of the upper half", () => {
    const ratiosOf = (...p99s: number[]) =>
      compareWindows(p99s.map((p99) => ({ alone: windowWithP99(10), beside: windowWithP99(p99) }))).p99Ratio.middleHalf;
    expect(ratiosOf(80, 10, 40, 20)).toEqual([1.5, 6]);
    expect(ratiosOf(80, 10, 30, 40, 20)).toEqual([1.5, 6]);
    expect(ratiosOf(80, 10)).toEqual([1, 8]);
    expect(ratiosOf(80)).toEqual([Number.NaN, Number.NaN]);
  });

  it("a moment that one pair alone had is in the p99 of all pairs together as often as its latencies are", () => {
    const calm = latencies({ ms: 10, count: 1000 });
    // 3 % of its window, and so exactly 1 % of all: the nearest rank is the last one without it.
    const hitHard = latencies({ ms: 80, count: 30 }, { ms: 10, count: 970 });
    // One more, and it is what the slowest hundredth begins with.
    const hitHarder = latencies({ ms: 80, count: 31 }, { ms: 10, count: 969 });
    const beside = (hit: Float64Array) => [calm, hit, calm].map((window) => ({ alone: calm, beside: window }));
    expect(compareWindows(beside(hitHard)).p99Ratio).toMatchObject({ medianOfPairs: 1, allDeliveries: 1 });
    expect(compareWindows(beside(hitHarder)).p99Ratio).toMatchObject({ medianOfPairs: 1, allDeliveries: 8 });
    expect(compareWindows(beside(hitHarder)).p99Ratios).toEqual([1, 8, 1]);
  });

  it("a pair with more latencies counts for more in what all pairs are together", () => {
    const large = { alone: latencies({ ms: 10, count: 9900 }), beside: latencies({ ms: 20, count: 9900 }) };
    const small = { alone: latencies({ ms: 10, count: 50 }), beside: latencies({ ms: 90, count: 50 }) };
    const { alone, beside, p99Ratio } = compareWindows([large, small]);
    expect(p99Ratio).toMatchObject({ medianOfPairs: 5.5, allDeliveries: 2 });
    expect(alone).toEqual({ count: 9950, min: 10, p50: 10, p99: 10, p999: 10, max: 10 });
    expect(beside).toEqual({ count: 9950, min: 20, p50: 20, p99: 20, p999: 90, max: 90 });
  });

  it("nothing has no ratio", () => {
    const none = { alone: new Float64Array(), beside: new Float64Array() };
    for (const pairs of [[], [none]]) {
      expect(compareWindows(pairs).p99Ratio).toMatchObject({ medianOfPairs: Number.NaN, allDeliveries: Number.NaN });
    }
  });
});
