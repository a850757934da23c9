import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import {
  type ConcurrencyLimit,
  hasRoom,
  initialLimit,
  isOverload,
  limitAfterOverload,
  limitAfterRestart,
  limitAfterSuccess,
} from "../../src/domain/concurrency-limit.ts";

/** A round: as many requests as the limit allows, all of them successful. */
function roundOfFullUse(limit: ConcurrencyLimit): ConcurrencyLimit {
  const inFlight = Math.floor(limit.value);
  let next = limit;
  for (let request = 0; request < inFlight; request += 1) {
    next = limitAfterSuccess(next, { inFlight: Math.floor(next.value) });
  }
  return next;
}

function rounds(limit: ConcurrencyLimit, count: number): number[] {
  const values: number[] = [];
  for (let round = 0, next = limit; round < count; round += 1) {
    next = roundOfFullUse(next);
    values.push(Math.floor(next.value));
  }
  return values;
}

describe("a limit in full use", () => {
  it("doubles with each round, up to the operator's bound", () => {
    expect(rounds(initialLimit(100), 5)).toEqual([16, 32, 64, 100, 100]);
  });

  it("grows by one a round beyond the threshold at which there was too much", () => {
    const halved = limitAfterOverload({ ...initialLimit(100), value: 40 }, { startedAt: 0, now: 1 });
    expect(halved.value).toBe(20);
    const [first = 0, , , fourth = 0] = rounds(halved, 4);
    expect(first).toBeLessThanOrEqual(21);
    expect(fourth).toBeGreaterThanOrEqual(22);
    expect(fourth).toBeLessThanOrEqual(24);
  });

  it("doubles from one after a restart", () => {
    expect(rounds(limitAfterRestart(initialLimit(32), 0), 4)).toEqual([2, 4, 8, 16]);
  });
});

it("a limit that is not used does not grow", () => {
  const limit = initialLimit(100);
  expect(limitAfterSuccess(limit, { inFlight: 3 })).toBe(limit);
});

it("requests that were under way together halve the limit once", () => {
  const together = [1, 2, 3, 4].map((startedAt) => ({ startedAt, now: 10 + startedAt }));
  let limit: ConcurrencyLimit = { ...initialLimit(64), value: 64 };
  for (const overload of together) limit = limitAfterOverload(limit, overload);
  expect(limit.value).toBe(32);
  expect(limitAfterOverload(limit, { startedAt: 20, now: 30 }).value).toBe(16);
});

test.each([
  ["TIMEOUT", 0, true],
  ["CONNECTION", 0, true],
  ["STATUS", 429, true],
  ["STATUS", 502, true],
  ["STATUS", 503, true],
  ["STATUS", 504, true],
  ["STATUS", 400, false],
  ["STATUS", 500, false],
  ["DNS", 0, false],
  ["TLS", 0, false],
  ["ADDRESS_REFUSED", 0, false],
  ["SECRET_UNUSABLE", 0, false],
  ["INTERNAL", 0, false],
  [null, 200, false],
] as const)("%s %i as a sign of too many requests: %s", (error, statusCode, expected) => {
  expect(isOverload(error, statusCode)).toBe(expected);
});

it("whatever happens, there is room for one request and never for more than the operator's bound", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("success" as const), inFlight: fc.integer({ min: 1, max: 50 }) }),
    fc.record({ kind: fc.constant("overload" as const), ago: fc.integer({ min: 0, max: 50 }) }),
    fc.constant({ kind: "restart" as const }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.array(step, { maxLength: 200 }), (max, steps) => {
      let limit = initialLimit(max);
      steps.forEach((taken, now) => {
        if (taken.kind === "success") limit = limitAfterSuccess(limit, taken);
        else if (taken.kind === "overload") limit = limitAfterOverload(limit, { startedAt: now - taken.ago, now });
        else limit = limitAfterRestart(limit, now);
        expect(hasRoom(limit, 0)).toBe(true);
        expect(hasRoom(limit, max)).toBe(false);
      });
    }),
  );
});
