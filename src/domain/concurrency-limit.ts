import type { AttemptError } from "./attempt.ts";

/**
 * How many requests at once a receiver bears, found by trying as TCP does (RFC 5681, section 3.1): the limit doubles with each round of
 * full use up to a threshold, then grows by one a round, and is halved when the receiver shows that it has too much.
 */
export interface ConcurrencyLimit {
  /** Requests at once; the part after the point is growth that is not a whole request yet. From 1 to `max`. */
  readonly value: number;
  /** Below it the limit doubles, above it grows by one. */
  readonly threshold: number;
  /** The operator's bound. */
  readonly max: number;
  /** When it was lowered last, in milliseconds since the epoch. */
  readonly loweredAt: number;
}

/** What a request tells about the limit. */
export interface LimitSample {
  /** When the request was started, in milliseconds since the epoch. */
  startedAt: number;
  /** Requests under way when it ended, itself included. */
  inFlight: number;
}

/** The limit of a receiver of which nothing is known yet. */
export function initialLimit(max: number): ConcurrencyLimit {
  return { value: Math.min(initialValue, max), threshold: max, max, loweredAt: Number.NEGATIVE_INFINITY };
}

/** Whether one more request fits beside those under way. */
export function hasRoom({ value }: ConcurrencyLimit, inFlight: number): boolean {
  return inFlight + 1 <= value;
}

/** A success raises the limit only where at least half of it was in use: what was never tried is not known to be borne. */
export function limitAfterSuccess(
  limit: ConcurrencyLimit,
  { inFlight }: Pick<LimitSample, "inFlight">,
): ConcurrencyLimit {
  const { value, threshold, max } = limit;
  if (value >= max || inFlight * 2 < Math.floor(value)) {
    return limit;
  }
  // One for each success makes a round double the limit; one for a whole round of successes makes it grow by one.
  const grown = value < threshold ? value + 1 : value + 1 / value;
  return { ...limit, value: Math.min(grown, max) };
}

/** Halves the limit. Requests that were under way when it was lowered last tell of the same overload: they do not lower it again. */
export function limitAfterOverload(
  limit: ConcurrencyLimit,
  { startedAt, now }: Pick<LimitSample, "startedAt"> & { now: number },
): ConcurrencyLimit {
  if (startedAt <= limit.loweredAt) {
    return limit;
  }
  const value = Math.max(1, Math.floor(limit.value / 2));
  return { ...limit, value, threshold: Math.max(value, 2), loweredAt: now };
}

/** One request at a time, until the receiver proves itself again. */
export function limitAfterRestart(limit: ConcurrencyLimit, now: number): ConcurrencyLimit {
  const threshold = Math.min(Math.max(limit.threshold, initialValue), limit.max);
  return { ...limit, value: 1, threshold, loweredAt: now };
}

/**
 * Whether an attempt's end is a sign of too many requests: no answer in time, no connection, or an answer that says so (429, 502, 503, 504;
 * RFC 9110, section 15.6, and RFC 6585, section 4). Other failures are about the request, not about how many there are.
 */
export function isOverload(error: AttemptError | null, statusCode: number): boolean {
  return error === "TIMEOUT" || error === "CONNECTION" || overloadStatuses.has(statusCode);
}

const initialValue = 8;
const overloadStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504]);
