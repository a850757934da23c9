import { type CallRate, type CallStanding, callCostMs } from "./call-rate.ts";

/** How a caller stands with one limit. `name`: lower case letters and hyphens. */
export interface RateStanding {
  name: string;
  rate: CallRate;
  standing: CallStanding;
}

/** The header fields that tell a caller of its limits. */
export interface RateLimitHeaders {
  "ratelimit-policy": string;
  ratelimit: string;
}

/**
 * The fields `RateLimit-Policy` and `RateLimit` in the form of draft-ietf-httpapi-ratelimit-headers-11 (sections 3 and 4): lists of Structured
 * Fields (RFC 9651), an item a limit. The quota `q` is the burst and the window `w` the seconds in which it comes back, so that q/w is the
 * pace; `r` is what is left of it, and `t` the seconds for which no more than that should be asked for.
 */
export function rateLimitHeaders(standings: readonly RateStanding[]): RateLimitHeaders {
  return {
    "ratelimit-policy": standings.map(policyItem).join(", "),
    ratelimit: standings.map(limitItem).join(", "),
  };
}

function policyItem({ name, rate }: RateStanding): string {
  return `"${name}";q=${rate.burst};w=${wholeSeconds(rate.burst * callCostMs(rate))}`;
}

/** Where nothing is left, `t` ends no later than Retry-After (section 6). */
function limitItem({ name, standing }: RateStanding): string {
  const { remaining, retryAfterMs, refilledAfterMs } = standing;
  return `"${name}";r=${remaining};t=${wholeSeconds(remaining === 0 ? retryAfterMs : refilledAfterMs)}`;
}

/** Whole seconds, at least one: both parameters know nothing smaller. */
function wholeSeconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}
