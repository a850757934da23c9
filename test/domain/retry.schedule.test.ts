import { expect, test } from "vitest";
import { DEFAULT_DELAYS_MS, DEFAULT_RETRY_POLICY, nextAttempt, type RetryPolicy } from "../../src/domain/retry.ts";

const never = () => 0;
const HOUR_MS = 3_600_000;

test("the default schedule makes ten attempts: at once, then after 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h", () => {
  const delays: number[] = [];
  for (let attemptCount = 1; ; attemptCount += 1) {
    const next = nextAttempt({ policy: DEFAULT_RETRY_POLICY, attemptCount, random: never });
    if (next.kind === "exhausted") break;
    delays.push(next.delayMs);
  }
  expect(delays).toEqual(DEFAULT_DELAYS_MS);
  expect(delays.map((delayMs) => delayMs / 1000)).toEqual([5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]);
});

test.each([
  [0, 1000],
  [0.5, 1050],
  [1, 1100],
])("chance %d makes a delay of a second %d ms: up to a tenth is added, nothing taken away", (chance, delayMs) => {
  expect(nextAttempt({ policy: policy({ delaysMs: [1000] }), attemptCount: 1, random: () => chance })).toEqual({
    kind: "retry",
    delayMs,
  });
});

test("no attempt follows the last one", () => {
  expect(nextAttempt({ policy: policy({ maxAttempts: 1 }), attemptCount: 1, random: never })).toEqual({
    kind: "exhausted",
  });
  expect(nextAttempt({ policy: policy({ maxAttempts: 3 }), attemptCount: 9, random: never })).toEqual({
    kind: "exhausted",
  });
});

test("where more attempts are allowed than there are delays, the last delay is repeated", () => {
  const long = policy({ delaysMs: [100, 200], maxAttempts: 6 });
  expect(nextAttempt({ policy: long, attemptCount: 5, random: never })).toEqual({ kind: "retry", delayMs: 200 });
});

test("a policy without delays makes one attempt", () => {
  const once = policy({ delaysMs: [], maxAttempts: 5 });
  expect(nextAttempt({ policy: once, attemptCount: 1, random: never })).toEqual({ kind: "exhausted" });
});

test("Retry-After postpones the next attempt, and never hastens it", () => {
  const slow = policy({ delaysMs: [10_000] });
  const delay = (retryAfterMs: number) => nextAttempt({ policy: slow, attemptCount: 1, retryAfterMs, random: never });
  expect(delay(60_000)).toEqual({ kind: "retry", delayMs: 60_000 });
  expect(delay(1_000)).toEqual({ kind: "retry", delayMs: 10_000 });
});

test("Retry-After counts up to 24 hours, and does not lengthen the schedule", () => {
  const askForAWeek = { retryAfterMs: 168 * HOUR_MS, random: never };
  expect(nextAttempt({ policy: policy({ delaysMs: [1] }), attemptCount: 1, ...askForAWeek })).toEqual({
    kind: "retry",
    delayMs: 24 * HOUR_MS,
  });
  expect(nextAttempt({ policy: policy({ maxAttempts: 2 }), attemptCount: 2, ...askForAWeek })).toEqual({
    kind: "exhausted",
  });
});

function policy(changes: Partial<RetryPolicy>): RetryPolicy {
  return { delaysMs: [1000], maxAttempts: 10, timeoutMs: 1000, ...changes };
}
