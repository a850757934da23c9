import { setTimeout as delay } from "node:timers/promises";

export interface WaitForOptions {
  /** 10 seconds where it is left out. */
  timeoutMs?: number;
  /** What is waited for, for the error: `the second delivery`. */
  what?: string;
}

type Awaited<Value> = Exclude<Value, undefined | null | false>;

/**
 * Waits until the predicate gives something truthy, and returns that. It is asked again every few milliseconds; what it throws ends the
 * wait. Throws when the time is over.
 */
export async function waitFor<Value>(
  predicate: () => Value | Promise<Value>,
  { timeoutMs = 10_000, what = "the condition" }: WaitForOptions = {},
): Promise<Awaited<Value>> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const value = await predicate();
    if (value) {
      return value as Awaited<Value>;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms for ${what} in vain`);
    }
    await delay(pauseMs);
  }
}
