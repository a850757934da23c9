import { LRUCache } from "lru-cache";
import type { Limits } from "../domain/limits.ts";
import type { RateLimit } from "../domain/rate-limit.ts";
import { TellwireError } from "../errors.ts";
import type { Sql } from "../store/sql.ts";
import type { AccessChannel } from "./access-channel.ts";
import { createDailyCounts, untilNextDayMs } from "./daily-counts.ts";
import type { OrganizationLimits } from "./organization-limits.ts";
import { createUsageSharing } from "./usage-sharing.ts";

/**
 * Counts the events that organizations publish, and says when there are too many. Deciding costs no statement: what was counted is written
 * together, about once a second, and what all processes have counted comes back with that.
 */
export interface PublishingLimits {
  /** Reads the limits of these organizations, and what they published today, where that is not in memory. */
  prepare(organizationIds: Iterable<string>): Promise<void>;
  /**
   * Counts the events, all or none of them; returns RATE_LIMITED or QUOTA_EXCEEDED where they are too many. `publishedAt`: when they were, in
   * milliseconds since the epoch; they belong to that period, so that what waited for us is not held against its publisher. The organization
   * has to be prepared: one that is not is only counted.
   */
  take(organizationId: string, events: number, publishedAt: number): TellwireError | undefined;
  /** Takes back what was counted, because nothing was published. */
  giveBack(organizationId: string, events: number, publishedAt: number): void;
  start(): void;
  /** Writes what is not written yet. */
  stop(): Promise<void>;
}

export interface PublishingLimitsOptions {
  sql: Sql;
  channel: Pick<AccessChannel, "publish" | "subscribe">;
  limits: Pick<OrganizationLimits, "known" | "of">;
  processId: string;
  /** Milliseconds since the epoch. */
  now: () => number;
  onFailure: (error: unknown) => void;
}

export function createPublishingLimits(options: PublishingLimitsOptions): PublishingLimits {
  const { limits, now } = options;
  /** How many events each organization published in each period that somebody asked for last. */
  const periods = new LRUCache<string, number>({ max: maxPeriods });
  // Never below 0: another process may give back what it counted before this one was there to hear of it.
  const addToPeriod = (key: string, events: number): void =>
    void periods.set(key, Math.max(0, (periods.get(key) ?? 0) + events));
  const sharing = createUsageSharing({ ...options, name: "events", onUsed: addToPeriod });
  const isLimitedByDay = (organizationId: string): boolean =>
    typeof limits.known(organizationId)?.eventsPerDay === "number";
  const days = createDailyCounts({ ...options, isLimited: isLimitedByDay });

  function count({ organizationId, events, publishedAt, held }: Publishing): void {
    days.add(organizationId, events, publishedAt);
    const rate = held?.events;
    if (rate) {
      const key = periodKey(organizationId, rate, publishedAt);
      addToPeriod(key, events);
      sharing.add(key, events, rate.count / silentShare);
    }
  }

  function refusal({ organizationId, events, publishedAt, held }: Publishing): TellwireError | undefined {
    if (held?.events) {
      const published = periods.get(periodKey(organizationId, held.events, publishedAt)) ?? 0;
      if (published + events > held.events.count) return tooFast(held.events, { events, publishedAt });
    }
    if (typeof held?.eventsPerDay === "number") {
      const published = days.on(organizationId, publishedAt);
      if (published + events > held.eventsPerDay) {
        // Another process may have taken back some.
        days.doubt(organizationId, publishedAt);
        return tooManyToday(held.eventsPerDay, { events, published, now: now() });
      }
    }
    return undefined;
  }

  return {
    async prepare(organizationIds) {
      const asked = new Set(organizationIds);
      const unknown = [...asked].filter((organizationId) => limits.known(organizationId) === undefined);
      if (unknown.length > 0) await Promise.all(unknown.map((organizationId) => limits.of(organizationId)));
      const limited = [...asked].filter(isLimitedByDay);
      if (limited.length > 0) await days.prepare(limited);
    },
    take(organizationId, events, publishedAt) {
      const publishing = { organizationId, events, publishedAt, held: limits.known(organizationId) };
      const refused = refusal(publishing);
      if (refused === undefined) count(publishing);
      return refused;
    },
    giveBack: (organizationId, events, publishedAt) =>
      count({ organizationId, events: -events, publishedAt, held: limits.known(organizationId) }),
    start: days.start,
    async stop() {
      sharing.stop();
      await days.stop();
    },
  };
}

interface Publishing {
  organizationId: string;
  events: number;
  publishedAt: number;
  /** Undefined where they are not known: then the events are only counted. */
  held: Limits | undefined;
}

const maxPeriods = 50_000;
/** What a process may count before it tells the others: this part of the limit. */
const silentShare = 16;

function periodKey(organizationId: string, { periodMs }: RateLimit, time: number): string {
  return `${organizationId} ${periodMs} ${Math.floor(time / periodMs)}`;
}

/** So many at once that no time helps are told so, without one. */
function tooFast({ count, periodMs }: RateLimit, { events, publishedAt }: { events: number; publishedAt: number }) {
  const limit = `the organization may publish ${count} events in ${periodMs / 1000} s`;
  const retryAfterMs = periodMs - (publishedAt % periodMs);
  return new TellwireError(
    "RATE_LIMITED",
    events > count ? `${limit}, and these are ${events}: send fewer at once` : `${limit}: send the rest later`,
    { metadata: { limit: "events" }, ...(events > count ? {} : { retryAfterMs }) },
  );
}

interface RefusedByDay {
  events: number;
  /** On the same day, before. */
  published: number;
  now: number;
}

/** So many at once that no day takes them are told so, without a time. */
function tooManyToday(quota: number, { events, published, now }: RefusedByDay): TellwireError {
  const limit = `the organization may publish ${quota} events a day (UTC)`;
  const isTooLarge = events > quota;
  const left = Math.max(0, quota - published);
  const rest = left === 0 ? "that is used up" : `${left} are left of that for these ${events}`;
  const fix = "or ask an operator for more (limits.max_events_per_day)";
  return new TellwireError(
    "QUOTA_EXCEEDED",
    isTooLarge
      ? `${limit}, and these are ${events}: send fewer at once, ${fix}`
      : `${limit}, and ${rest}: wait for the next day, ${fix}`,
    {
      metadata: { quota: "events-per-day", limit: String(quota) },
      ...(isTooLarge ? {} : { retryAfterMs: untilNextDayMs(now) }),
    },
  );
}
