import { describe, expect, it, test } from "vitest";
import {
  breakerAfter,
  breakerElsewhere,
  type CircuitBreaker,
  closedBreaker,
  isSignOfLife,
  probeAbandoned,
  probing,
} from "../../src/domain/circuit-breaker.ts";

const noJitter = () => 0;

function failed(breaker: CircuitBreaker, at: number, times = 1): CircuitBreaker {
  let next = breaker;
  for (let time = 0; time < times; time += 1) {
    next = breakerAfter(next, { isWell: false, startedAt: at, now: at, failuresToOpen: 10, random: noJitter });
  }
  return next;
}

function succeeded(breaker: CircuitBreaker, at: number): CircuitBreaker {
  return breakerAfter(breaker, { isWell: true, startedAt: at, now: at, failuresToOpen: 10, random: noJitter });
}

function probed(breaker: CircuitBreaker, at: number): CircuitBreaker {
  const next = probing(breaker, at);
  expect(next).toBeDefined();
  return next as CircuitBreaker;
}

describe("a closed breaker", () => {
  it("opens for five seconds after ten failures in a row", () => {
    expect(failed(closedBreaker, 0, 9).state).toBe("closed");
    expect(failed(closedBreaker, 1_000, 10)).toEqual({ state: "open", openUntil: 6_000, opened: 1 });
  });

  it("counts from the start again after a success", () => {
    const almost = failed(closedBreaker, 0, 9);
    expect(failed(succeeded(almost, 0), 0, 9).state).toBe("closed");
  });

  it("stays the same object through successes, which cost nothing", () => {
    expect(succeeded(closedBreaker, 0)).toBe(closedBreaker);
  });
});

describe("an open breaker", () => {
  const open = failed(closedBreaker, 0, 10);

  it("lets nothing pass before its time, and then one request", () => {
    expect(probing(open, 4_999)).toBeUndefined();
    const halfOpen = probed(open, 5_000);
    expect(probing(halfOpen, 5_000)).toBeUndefined();
  });

  it("ignores failures of requests that were under way when it opened", () => {
    expect(failed(open, 100, 20)).toBe(open);
    const halfOpen = probed(open, 5_000);
    expect(failed(halfOpen, 4_000)).toBe(halfOpen);
  });

  it("closes when its one request succeeds", () => {
    expect(succeeded(probed(open, 5_000), 5_100)).toBe(closedBreaker);
  });

  it("lets the next request pass at once where the one was never made", () => {
    expect(probing(probeAbandoned(probed(open, 5_000), 5_001), 5_001)).toBeDefined();
  });
});

test("each failed probe doubles the time, up to a minute", () => {
  let breaker = failed(closedBreaker, 0, 10);
  const openMs: number[] = [];
  for (let time = 0; time < 9; time += 1) {
    const { openUntil } = breaker as { openUntil: number };
    const after = failed(probed(breaker, openUntil), openUntil) as { openUntil: number } & CircuitBreaker;
    openMs.push(after.openUntil - openUntil);
    breaker = after;
  }
  expect(openMs).toEqual([10, 20, 40, 60, 60, 60, 60, 60, 60].map((seconds) => seconds * 1_000));
});

test("up to a tenth is added at random", () => {
  const sample = { isWell: false, startedAt: 0, now: 0, failuresToOpen: 10, random: () => 1 };
  expect(breakerAfter({ state: "closed", failures: 9 }, sample)).toMatchObject({ openUntil: 5_500 });
});

test.each([
  [null, 204, true],
  ["STATUS", 422, true],
  ["STATUS", 404, true],
  ["STATUS", 429, false],
  ["STATUS", 408, false],
  ["STATUS", 302, false],
  ["STATUS", 500, false],
  ["STATUS", 503, false],
  ["TIMEOUT", 0, false],
  ["CONNECTION", 0, false],
] as const)("an attempt that ends with %s and status %d shows a receiver at work: %s", (error, statusCode, isWell) => {
  expect(isSignOfLife(error, statusCode)).toBe(isWell);
});

test("what another process says counts: open until the time, or closed", () => {
  expect(probing(breakerElsewhere(2_000, 3), 1_999)).toBeUndefined();
  expect(failed(probed(breakerElsewhere(2_000, 3), 2_000), 2_000)).toEqual({
    state: "open",
    openUntil: 42_000,
    opened: 4,
  });
  expect(breakerElsewhere(null, 0)).toBe(closedBreaker);
});
