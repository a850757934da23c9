import fc from "fast-check";
import { expect, test } from "vitest";
import { type CallRate, decideCall } from "../../src/domain/call-rate.ts";

const tenASecond: CallRate = { count: 10, periodMs: 1_000, burst: 5 };

/** Calls at these times, in milliseconds; true for each that is admitted. */
function callsAt(rate: CallRate, times: readonly number[]): boolean[] {
  let evenAt = 0;
  return times.map((now) => {
    const decision = decideCall(rate, Math.max(0, evenAt - now));
    evenAt = now + decision.debtMs;
    return decision.admitted;
  });
}

test("a burst is admitted at once, and the next call after the pace's time", () => {
  expect(callsAt(tenASecond, [0, 0, 0, 0, 0, 0, 99, 100, 100])).toEqual([
    ...Array(5).fill(true),
    false,
    false,
    true,
    false,
  ]);
});

test("a call that is refused costs nothing", () => {
  expect(callsAt(tenASecond, [...Array(50).fill(0), 100])).toEqual([
    ...Array(5).fill(true),
    ...Array(45).fill(false),
    true,
  ]);
});

test("the decision says what is left, and when there is more", () => {
  expect(decideCall(tenASecond, 0)).toMatchObject({ admitted: true, remaining: 4, retryAfterMs: 0 });
  expect(decideCall(tenASecond, 450)).toMatchObject({ admitted: false, remaining: 0, retryAfterMs: 50, debtMs: 450 });
  expect(decideCall(tenASecond, 400)).toMatchObject({ admitted: true, remaining: 0, retryAfterMs: 100 });
});

test("after the time that a refusal names, the call is admitted", () => {
  fc.assert(
    fc.property(rates(), fc.double({ min: 0, max: 1e9, noNaN: true }), (rate, debtMs) => {
      const { admitted, retryAfterMs } = decideCall(rate, debtMs);
      expect(admitted || decideCall(rate, Math.max(0, debtMs - retryAfterMs)).admitted).toBe(true);
    }),
  );
});

test("in any stretch of time no more are admitted than the burst and what the pace allows in it", () => {
  fc.assert(
    fc.property(rates(), fc.array(fc.nat({ max: 3_000 }), { minLength: 1, maxLength: 200 }), (rate, steps) => {
      let now = 0;
      const times = steps.map((step) => (now += step % 7 === 0 ? step : step % 20));
      const admitted = callsAt(rate, times);
      const taken = times.filter((_, index) => admitted[index]);
      for (const [index, from] of taken.entries()) {
        for (let until = index; until < taken.length; until += 1) {
          const allowed = rate.burst + ((taken[until]! - from) * rate.count) / rate.periodMs;
          expect(until - index + 1).toBeLessThanOrEqual(allowed + 1e-6);
        }
      }
    }),
  );
});

function rates(): fc.Arbitrary<CallRate> {
  return fc.record({
    count: fc.integer({ min: 1, max: 10_000 }),
    periodMs: fc.constantFrom(1_000, 60_000, 3_600_000),
    burst: fc.integer({ min: 1, max: 1_000 }),
  });
}
