/** At most `count` requests in any stretch of `periodMs` milliseconds. */
export interface RateLimit {
  count: number;
  periodMs: number;
}

/**
 * When the next request may begin, in milliseconds since the epoch. `rateTime` is the whole state: when the next request would begin at an
 * even pace, null before the first (the generic cell rate algorithm, ITU-T I.371).
 */
export function nextAllowedAt(limit: RateLimit, rateTime: number | null): number {
  return rateTime === null ? Number.NEGATIVE_INFINITY : rateTime - toleranceMs(limit);
}

/** The state after a request that begins now. Its time must have come. */
export function rateTimeAfter(limit: RateLimit, rateTime: number | null, now: number): number {
  return Math.max(now, rateTime ?? Number.NEGATIVE_INFINITY) + paceMs(limit);
}

/**
 * How far requests may run ahead of an even pace: as much as timers are late, so that the rate is reached all the same. It is small, because a
 * receiver that counts must never count more than was promised, wherever its period begins.
 */
function toleranceMs({ periodMs }: RateLimit): number {
  return Math.min(maxToleranceMs, periodMs / 20);
}

/** The tolerance is taken from the pace: in any period at most (periodMs + tolerance) / pace = count requests begin. */
function paceMs(limit: RateLimit): number {
  return (limit.periodMs + toleranceMs(limit)) / limit.count;
}

const maxToleranceMs = 50;
