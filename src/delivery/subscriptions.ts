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
 * that are missing at the moment and another one for each of these that has very many webhooks, for which the others do not wait; dropped when somebody
 * says that they changed, and read again before `maxAgeMs` in any case, beside the work.
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

  /** Whoever asked for one of the load's organizations by itself waits for that alone, and whoever asks now joins. */
  const loadAlone = (load: Load, organizationId: string): Promise<OrganizationSubscriptions | undefined> => {
    const alone: Load = { organizationIds: [organizationId], found: Promise.resolve().then(() => read(alone)) };
    if (loads.get(organizationId) === load) {
      loads.set(organizationId, alone);
    }
    const found = alone.found.then((organizations) => organizations.get(organizationId));
    // Maybe nobody waits for it any more.
    found.catch(() => {});
    return found;
  };

  const read = async (load: Load): Promise<Found> => {
    if (gathering === load) {
      gathering = undefined;
    }
    const loadedAt = now();
    const maxEach = load.organizationIds.length === 1 ? null : webhooksInOneGo;
    try {
      const rows = await loadSubscriptions(sql, load.organizationIds, maxEach);
      const found: Found = new Map();
      for (const organizationId of load.organizationIds) {
        const webhooks = rows.get(organizationId);
        if (webhooks?.length === maxEach) {
          found.set(organizationId, loadAlone(load, organizationId));
          continue;
        }
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
      forgetLoad(load);
    }
  };

  const forgetLoad = (load: Load): void => {
    for (const organizationId of load.organizationIds) {
      if (loads.get(organizationId) === load) {
        loads.delete(organizationId);
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
      return await (await found).get(organizationId);
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
/** An organization with so many is read by itself where others are missing too, and building its webhooks lets other work through after so many. */
const webhooksInOneGo = 1_000;

interface Load {
  organizationIds: string[];
  found: Promise<Found>;
}

/** A promise of an organization that is still being read. */
type Found = Map<string, OrganizationSubscriptions | Promise<OrganizationSubscriptions | undefined>>;

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
