/** Lets a loop wait for its next turn, and others say when that is. */
export interface Waker {
  /** Ends the wait now, or at the time (milliseconds since the epoch). */
  wake(at?: number): void;
  /** Resolves at the next wake, or after the time. */
  wait(maxMs: number): Promise<void>;
}

/** Remembers a wake that comes while nobody waits, and the earliest of the times that were announced. */
export function createWaker(now: () => number): Waker {
  let nextAt = Number.POSITIVE_INFINITY;
  let rouse: (() => void) | undefined;
  return {
    wake(at = 0) {
      if (at < nextAt) {
        nextAt = at;
        rouse?.();
      }
    },
    async wait(maxMs) {
      const until = now() + maxMs;
      while (now() < Math.min(until, nextAt)) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, Math.max(1, Math.min(until, nextAt) - now()));
        rouse = resolve;
        await promise;
        clearTimeout(timer);
      }
      rouse = undefined;
      if (nextAt <= now()) {
        nextAt = Number.POSITIVE_INFINITY;
      }
    },
  };
}
