/** When failed deliveries are tried again, and how long one attempt may take. */
export interface RetryPolicy {
  /** The waiting times before the second, third, … attempt. */
  delaysMs: readonly number[];
  /** How many attempts a delivery gets at most, the first included. Beyond the delays the last one is repeated. */
  maxAttempts: number;
  /** How long one attempt may take in all. */
  timeoutMs: number;
}

/** What follows a failed attempt. */
export type NextAttempt = { kind: "retry"; delayMs: number } | { kind: "exhausted" };

/**
 * Decides what follows a failed attempt. `attemptCount` is the number of attempts made so far, the failed one included. A Retry-After
 * is a minimum, up to 24 hours. Up to a tenth is added at random, so that deliveries which failed together do not return together, and
 * none returns earlier than it was asked to. `random` answers from 0 to 1.
 */
export function nextAttempt({ policy, attemptCount, retryAfterMs = 0, random }: NextAttemptInput): NextAttempt {
  if (attemptCount >= policy.maxAttempts) return { kind: "exhausted" };
  const scheduledMs = policy.delaysMs[attemptCount - 1] ?? policy.delaysMs.at(-1);
  if (scheduledMs === undefined) return { kind: "exhausted" };
  const minimumMs = Math.max(scheduledMs, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS));
  return { kind: "retry", delayMs: Math.round(minimumMs * (1 + JITTER * random())) };
}

export interface NextAttemptInput {
  policy: RetryPolicy;
  attemptCount: number;
  retryAfterMs?: number | undefined;
  random: () => number;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS;
const JITTER = 0.1;

/** The schedule of webhooks that set none: 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. */
export const DEFAULT_DELAYS_MS: readonly number[] = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
];

/** How long an attempt may take where the webhook sets nothing. */
export const DEFAULT_TIMEOUT_MS = 15_000;

/** The policy of webhooks that set none. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  delaysMs: DEFAULT_DELAYS_MS,
  maxAttempts: DEFAULT_DELAYS_MS.length + 1,
  timeoutMs: DEFAULT_TIMEOUT_MS,
};
