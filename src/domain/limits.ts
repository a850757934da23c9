import type { CallRate } from "./call-rate.ts";
import type { RateLimit } from "./rate-limit.ts";

/** What an organization may do and have at most. null: as much as it likes. */
export interface Limits {
  /** Calls of one key, or of another single actor, such as a portal token. */
  callsPerKey: CallRate | null;
  /** Calls of all its keys together. */
  calls: CallRate | null;
  /** Calls that make this service call a receiver at once: tests and verifications. */
  receiverCalls: CallRate | null;
  /** Events that it publishes, in each period by itself. */
  events: RateLimit | null;
  /** Events that it publishes on a day of UTC. */
  eventsPerDay: number | null;
  webhooks: number | null;
  /** Keys that work. */
  apiKeys: number | null;
}

/** Limits of one organization that differ from the server's own. What is left out is as the server has it. */
export type LimitOverrides = Partial<{ [Name in keyof Limits]: NonNullable<Limits[Name]> }>;

/** No limits at all. */
export const unlimited: Limits = {
  callsPerKey: null,
  calls: null,
  receiverCalls: null,
  events: null,
  eventsPerDay: null,
  webhooks: null,
  apiKeys: null,
};

/** What holds for an organization with these overrides. */
export function limitsWith(defaults: Limits, overrides: LimitOverrides | null): Limits {
  return overrides === null ? defaults : { ...defaults, ...overrides };
}
