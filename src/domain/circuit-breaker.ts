import type { AttemptError } from "./attempt.ts";

/**
 * Whether a receiver gets requests at all. Closed: it does. Open: it failed so often in a row that it is left alone until a time. Half-open:
 * the time is over, and one request shows whether it is well again.
 */
export type CircuitBreaker =
  | { readonly state: "closed"; readonly failures: number }
  | { readonly state: "open"; readonly openUntil: number; readonly opened: number }
  | { readonly state: "half-open"; readonly since: number; readonly opened: number };

/** How one request went, for the breaker. Times in milliseconds since the epoch. */
export interface BreakerSample {
  /** Whether the receiver is at work, be it that it refuses this one request. */
  isWell: boolean;
  startedAt: number;
  now: number;
  /** After how many failures in a row it opens. */
  failuresToOpen: number;
  /** Answers from 0 to 1. */
  random: () => number;
}

/** A breaker that lets everything pass. */
export const closedBreaker: CircuitBreaker = { state: "closed", failures: 0 };

/** The breaker after a request ended. The same object where nothing changed. */
export function breakerAfter(breaker: CircuitBreaker, sample: BreakerSample): CircuitBreaker {
  if (sample.isWell) {
    // Whichever request it was of: the receiver answers.
    return breaker.state === "closed" && breaker.failures === 0 ? breaker : closedBreaker;
  }
  switch (breaker.state) {
    case "closed":
      return breaker.failures + 1 < sample.failuresToOpen
        ? { state: "closed", failures: breaker.failures + 1 }
        : openedBreaker(1, sample);
    case "open":
      return breaker;
    case "half-open":
      // What was sent before the breaker opened says nothing about now.
      return sample.startedAt < breaker.since ? breaker : openedBreaker(breaker.opened + 1, sample);
  }
}

/** The breaker with its one request on the way; undefined while it is not time for one, or one is under way. */
export function probing(breaker: CircuitBreaker, now: number): CircuitBreaker | undefined {
  return breaker.state === "open" && breaker.openUntil <= now
    ? { state: "half-open", since: now, opened: breaker.opened }
    : undefined;
}

/** The one request was never made, or nobody knows how it went: the next may be made at once. */
export function probeAbandoned(breaker: CircuitBreaker, now: number): CircuitBreaker {
  return breaker.state === "half-open" ? { state: "open", openUntil: now, opened: breaker.opened } : breaker;
}

/** What another process says: open until the time, or closed (null). */
export function breakerElsewhere(openUntil: number | null, opened: number): CircuitBreaker {
  return openUntil === null ? closedBreaker : { state: "open", openUntil, opened };
}

/**
 * Whether an attempt's end shows a receiver at work: a success, or an answer that refuses this request (4xx, RFC 9110, section 15.5), which says
 * nothing about the next one. Not: no answer, an answer of a server that failed, or one that asks for fewer requests or later ones (408, 425, 429).
 */
export function isSignOfLife(error: AttemptError | null, statusCode: number): boolean {
  return error === null || (statusCode >= 400 && statusCode < 500 && !refusesForNow.has(statusCode));
}

/** Open for 5 s, twice as long each time it opens again, up to a minute, so that a receiver that is mended waits no longer than that; up to a tenth more, so that many do not return together. */
function openedBreaker(opened: number, { now, random }: Pick<BreakerSample, "now" | "random">): CircuitBreaker {
  const openMs = Math.min(firstOpenMs * 2 ** (opened - 1), maxOpenMs);
  return { state: "open", openUntil: now + Math.round(openMs * (1 + jitter * random())), opened };
}

const firstOpenMs = 5_000;
const maxOpenMs = 60_000;
const refusesForNow: ReadonlySet<number> = new Set([408, 425, 429]);
const jitter = 0.1;
