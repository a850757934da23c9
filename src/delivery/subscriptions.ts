import { setImmediate as nextTurn } from "node:timers/promises";
import { LRUCache } from "lru-cache";
import type { RetryPolicy } from "../domain/retry.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import { loadSubscriptions, type SubscriptionRow } from "../store/sql/load-subscriptions.ts";
import type { Sql } from "../store/sql.ts";
import { type OrganizationSubscriptions, organizationSubscriptions } from "./organization-subscriptions.ts";
import { createShareEqual } from "./share-equal.ts";
import { type Subscription, type SubscriptionDefaults, subscriptionOf } from "./subscription.ts";

/**
 * The webhooks that collect events, in memory, an organization at a time: loaded when first needed, with one statement for all organizations
 * that are missing at the moment, dropped when somebody says that they changed, and read again before `maxAgeMs` in any case, beside the
 * work.
 */
export interface Subscriptions {
  /** Undefined where there is no such organization. */
  of(organizationId: string): Promise<OrganizationSubscriptions | undefined>;
  /** What is in memory; undefined where it has to be loaded. */
  cached(organizationId: string): OrganizationSubscriptions | undefined;
  /** What is asked for from now on is at least as new as this call. */
  invalidate(organizationId: string): void;
  invalidateAll(): void;
}

export interface SubscriptionsOptions {
  sql: Sql;
  secretBox: SecretBox;
  /** What holds for webhooks that set none. */
  defaultPolicy: RetryPolicy;
  /** The name that receivers with the CloudEvents handshake know this sender by. */
  requestOrigin: string;
  maxAgeMs: number;
  /** How many webhooks are kept, those of the organizations that were needed last. */
  maxWebhooks: number;
  /** Milliseconds on any clock that does not go back. */
  now?: () => number;
}

export function createSubscriptions(options: SubscriptionsOptions): Subscriptions {
  const { sql, maxAgeMs, maxWebhooks, now = () => performance.now() } = options;
  const defaults = { ...options, share: createShareEqual(maxShared) };
  const entries = new LRUCache<string, Entry>({
    maxSize: maxWebhooks,
    sizeCalculation: ({ subscriptions }) => Math.min(Math.max(1, subscriptions.size), maxWebhooks),
  });
  /** What is being read, by organization. One that is invalidated meanwhile is no longer here. */
  const loads = new Map<string, Load>();
  let gathering: Load | undefined;

  const load = (organizationId: string): Load => {
    if (gathering === undefined || gathering.organizationIds.length >= maxOrganizationsAtOnce) {
      const gathered: Load = { organizationIds: [], found: Promise.resolve().then(() => read(gathered)) };
      gathering = gathered;
    }
    gathering.organizationIds.push(organizationId);
    loads.set(organizationId, gathering);
    return gathering;
  };

  const read = async (load: Load): Promise<Map<string, OrganizationSubscriptions>> => {
    if (gathering === load) {
      gathering = undefined;
    }
    const loadedAt = now();
    try {
      const rows = await loadSubscriptions(sql, load.organizationIds);
      const found = new Map<string, OrganizationSubscriptions>();
      for (const organizationId of load.organizationIds) {
        const webhooks = rows.get(organizationId);
        const subscriptions = webhooks && (await organizationOf(organizationId, webhooks, defaults));
        if (subscriptions !== undefined) {
          found.set(organizationId, subscriptions);
        }
        if (loads.get(organizationId) === load) {
          keep(organizationId, subscriptions, loadedAt);
        }
      }
      return found;
    } finally {
      for (const organizationId of load.organizationIds) {
        if (loads.get(organizationId) === load) {
          loads.delete(organizationId);
        }
      }
    }
  };

  /** That an organization does not exist is not kept: it may be created the next moment. */
  const keep = (
    organizationId: string,
    subscriptions: OrganizationSubscriptions | undefined,
    loadedAt: number,
  ): void => {
    if (subscriptions === undefined) {
      entries.delete(organizationId);
    } else {
      entries.set(organizationId, { subscriptions, loadedAt });
    }
  };

  const cached = (organizationId: string): OrganizationSubscriptions | undefined => {
    const entry = entries.get(organizationId);
    const ageMs = entry === undefined ? maxAgeMs : now() - entry.loadedAt;
    if (ageMs >= maxAgeMs) {
      return undefined;
    }
    if (ageMs >= refreshAgeMs(organizationId) && !loads.has(organizationId)) {
      // Where it fails, it is tried again with the next event; who needs it after `maxAgeMs` gets the error.
      load(organizationId).found.catch(() => {});
    }
    return entry?.subscriptions;
  };

  /** Between a half and nine tenths of the age, so that organizations which were loaded together are not read again together. */
  const refreshAgeMs = (organizationId: string): number =>
    maxAgeMs * (0.5 + 0.4 * (Number.parseInt(organizationId.slice(-4), 16) / 0xffff));

  return {
    cached,
    async of(organizationId) {
      const known = cached(organizationId);
      if (known !== undefined) {
        return known;
      }
      const { found } = loads.get(organizationId) ?? load(organizationId);
      return (await found).get(organizationId);
    },
    invalidate(organizationId) {
      entries.delete(organizationId);
      loads.delete(organizationId);
    },
    invalidateAll() {
      entries.clear();
      loads.clear();
    },
  };
}

/** How many values are remembered to be shared. */
const maxShared = 10_000;
const maxOrganizationsAtOnce = 500;
/** Building the webhooks of a large organization lets other work through after so many. */
const webhooksInOneGo = 1_000;

interface Load {
  organizationIds: string[];
  found: Promise<Map<string, OrganizationSubscriptions>>;
}

interface Entry {
  subscriptions: OrganizationSubscriptions;
  loadedAt: number;
}

async function organizationOf(
  organizationId: string,
  rows: readonly SubscriptionRow[],
  defaults: SubscriptionDefaults,
): Promise<OrganizationSubscriptions> {
  const subscriptions: Subscription[] = [];
  for (const row of rows) {
    subscriptions.push(subscriptionOf(organizationId, row, defaults));
    if (subscriptions.length % webhooksInOneGo === 0) {
      await nextTurn();
    }
  }
  return organizationSubscriptions(subscriptions);
}
