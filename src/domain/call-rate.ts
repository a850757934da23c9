import type { RateLimit } from "./rate-limit.ts";

/**
 * How often something may be called: `count` times in `periodMs` at an even pace, and up to `burst` times at once after a rest. In any stretch
 * of time it is admitted `burst` times, and as often besides as the pace allows in that time.
 */
export interface CallRate extends RateLimit {
  burst: number;
}

/** How things stand for a caller. */
export interface CallStanding {
  /** How many calls would be admitted now. */
  remaining: number;
  /** When the next call is admitted, in whole milliseconds; 0: now. */
  retryAfterMs: number;
  /** When a whole burst is admitted again, in milliseconds. */
  refilledAfterMs: number;
}

/** Whether a call is admitted, and how things stand after it. */
export interface RateDecision extends CallStanding {
  admitted: boolean;
  /** How far the caller is ahead of the pace afterwards, in milliseconds from now: the whole state (GCRA, ITU-T I.371), 0 after a rest. */
  debtMs: number;
}

/** Decides on one call of somebody who is `debtMs` ahead of the pace. A call that is refused costs nothing. */
export function decideCall(rate: CallRate, debtMs: number): RateDecision {
  const costMs = callCostMs(rate);
  const admitted = debtMs + costMs <= rate.burst * costMs + roundingMs;
  const after = admitted ? debtMs + costMs : debtMs;
  return { admitted, debtMs: after, ...callStanding(rate, after) };
}

/** How things stand for somebody who is `debtMs` ahead of the pace. */
export function callStanding(rate: CallRate, debtMs: number): CallStanding {
  const costMs = callCostMs(rate);
  const roomMs = rate.burst * costMs - debtMs + roundingMs;
  return {
    remaining: Math.max(0, Math.floor(roomMs / costMs)),
    retryAfterMs: Math.max(0, Math.ceil(costMs - roomMs)),
    refilledAfterMs: debtMs,
  };
}

/** How far one call puts its caller ahead of the pace, in milliseconds. */
export function callCostMs({ count, periodMs }: RateLimit): number {
  return periodMs / count;
}

/** Fractions of milliseconds do not add up exactly. */
const roundingMs = 1e-6;
