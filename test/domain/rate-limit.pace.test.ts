import fc from "fast-check";
import { expect, it } from "vitest";
import { nextAllowedAt, type RateLimit, rateTimeAfter } from "../../src/domain/rate-limit.ts";

/** Begins requests as early as allowed, each at most so much later than it could: the times at which they begin. */
function begin(limit: RateLimit, lateness: readonly number[]): number[] {
  const times: number[] = [];
  let rateTime: number | null = null;
  let now = 1_000_000;
  for (const lateMs of lateness) {
    now = Math.max(now, nextAllowedAt(limit, rateTime)) + lateMs;
    rateTime = rateTimeAfter(limit, rateTime, now);
    times.push(now);
  }
  return times;
}

it("in no stretch of the period more requests begin than the count, however late or early they come", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 100, max: 100_000 }),
      fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 5_000 })), { minLength: 60, maxLength: 200 }),
      (count, periodMs, lateness) => {
        const times = begin({ count, periodMs }, lateness);
        times.slice(count).forEach((time, index) => {
          // The request that came count requests earlier is a whole period ago.
          expect(time - (times[index] as number)).toBeGreaterThanOrEqual(periodMs - 1e-6);
        });
      },
    ),
  );
});

it.each([
  [100, 1_000],
  [10, 1_000],
  [60, 60_000],
  [1, 1_000],
])("%i requests in %i ms are reached up to a twentieth, even if every request is a little late", (count, periodMs) => {
  const lateMs = Math.min(2, periodMs / count / 10);
  const times = begin(
    { count, periodMs },
    Array.from({ length: 20 * count + 1 }, () => lateMs),
  );
  const tookMs = (times.at(-1) as number) - (times[0] as number);
  expect(tookMs).toBeLessThanOrEqual(20 * periodMs * 1.06);
});

it("the first request may begin at once", () => {
  expect(nextAllowedAt({ count: 1, periodMs: 1_000 }, null)).toBe(Number.NEGATIVE_INFINITY);
});
