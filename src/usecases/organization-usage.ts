import { countUpTo } from "../store/sql/count-up-to.ts";
import { publishedEventsSince } from "../store/sql/published-events.ts";
import { type Principal, requiredOrganizationOf, requireWholeOrganization } from "./access.ts";
import { dayOf } from "./daily-counts.ts";
import type { Dependencies } from "./dependencies.ts";
import type { OrganizationLimits } from "./organization-limits.ts";
import type { Organizations } from "./organizations.ts";

/** How much of something there is, and may be; null: as much as one likes. */
export interface UsedQuota {
  used: number;
  limit: number | null;
}

/** What an organization has and does, beside what it may. */
export interface OrganizationUsage {
  organizationId: string;
  webhooks: UsedQuota;
  apiKeys: UsedQuota;
  /** What came in the last seconds may be missing. */
  eventsToday: UsedQuota;
  /** The last 31 days of UTC, the last one first; those without events are left out. */
  publishedEvents: { day: string; events: number }[];
}

/** Throws ORGANIZATION_NOT_FOUND, and WHOLE_ORGANIZATION_REQUIRED. */
export type ReadOrganizationUsage = (principal: Principal, organizationId: string) => Promise<OrganizationUsage>;

export function createReadOrganizationUsage(
  { database: { sql }, ids }: Pick<Dependencies, "database" | "ids">,
  { organizations, limits }: { organizations: Organizations; limits: OrganizationLimits },
): ReadOrganizationUsage {
  return async (principal, requested) => {
    const organizationId = requiredOrganizationOf(principal, requested, "organization_id");
    requireWholeOrganization(principal, "reading the usage of an organization");
    await organizations.require(organizationId);
    const held = await limits.of(organizationId);
    const today = dayOf(ids.now());
    const countAll = { organizationId, limit: maxCounted };
    const [webhooks, apiKeys, days] = await Promise.all([
      countUpTo(sql, { ...countAll, what: "webhooks" }),
      countUpTo(sql, { ...countAll, what: "api-keys" }),
      publishedEventsSince(sql, organizationId, dayOf(ids.now() - shownDaysMs)),
    ]);
    const publishedEvents = days.filter(({ events }) => events > 0).map(({ day, events }) => ({ day, events }));
    const eventsToday = publishedEvents.find(({ day }) => day === today)?.events ?? 0;
    return {
      organizationId,
      webhooks: { used: webhooks, limit: held.webhooks },
      apiKeys: { used: apiKeys, limit: held.apiKeys },
      eventsToday: { used: eventsToday, limit: held.eventsPerDay },
      publishedEvents,
    };
  };
}

const maxCounted = 1_000_000;
const shownDaysMs = 30 * 24 * 60 * 60_000;
