import { setTimeout as delay } from "node:timers/promises";

export interface WaitForOptions {
  /** A minute where it is left out: long enough for a machine that is busy with something else, and stands for no promise. */
  timeoutMs?: number;
  /** What is waited for, for the error: `the second delivery`. */
  what?: string;
}

type Awaited<Value> = Exclude<Value, undefined | null | false>;

/**
 * Waits until the predicate gives something truthy, and returns that. It is asked again every few milliseconds, and once more when the time is over,
 * so that a process that stood still for all of it is not blamed. Then this throws. What the predicate throws ends the wait.
 */
export async function waitFor<Value>(
  predicate: () => Value | Promise<Value>,
  { timeoutMs = 60_000, what = "the condition" }: WaitForOptions = {},
): Promise<Awaited<Value>> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const isLast = performance.now() > deadline;
    const value = await predicate();
    if (value) {
      return value as Awaited<Value>;
    }
    if (isLast) {
      throw new Error(`waited ${timeoutMs} ms for ${what} in vain`);
    }
    await delay(pauseMs);
  }
}
