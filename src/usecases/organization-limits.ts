import { LRUCache } from "lru-cache";
import { type LimitOverrides, type Limits, limitsWith } from "../domain/limits.ts";
import { limitOverridesOf } from "../store/sql/limit-overrides.ts";
import type { Sql } from "../store/sql.ts";
import type { AccessChannel } from "./access-channel.ts";

/** Which limits hold for an organization: the server's own, and what an operator has set for this one. Remembered for a minute. */
export interface OrganizationLimits {
  /** Undefined where they have to be read first. */
  known(organizationId: string): Limits | undefined;
  /** What is asked for at once is read with one statement. Where the database is away, what was known last holds on. */
  of(organizationId: string): Promise<Limits>;
  /** An operator changed them; with the transaction of the change, every process hears of it when that is committed. */
  changed(organizationId: string, transaction: Pick<Sql, "query">): Promise<void>;
}

export interface OrganizationLimitsOptions {
  sql: Sql;
  channel: Pick<AccessChannel, "publish" | "subscribe">;
  defaults: Limits;
  /** Milliseconds on a clock that is never set. */
  elapsed: () => number;
}

export function createOrganizationLimits(options: OrganizationLimitsOptions): OrganizationLimits {
  const { sql, channel, defaults, elapsed } = options;
  const entries = new LRUCache<string, Entry>({ max: maxOrganizations });
  /** Counts the changes, so that what was read before one is not kept after it. */
  let changes = 0;
  let gathering: Gathering | undefined;

  channel.subscribe(
    "limits-changed",
    (organizationId) => {
      changes += 1;
      entries.delete(organizationId);
    },
    () => {
      changes += 1;
      entries.clear();
    },
  );

  function known(organizationId: string): Limits | undefined {
    // By when they were read, which is every minute: to move the entry with each event costs more than what it is asked for.
    const entry = entries.peek(organizationId);
    return entry !== undefined && elapsed() - entry.readAt < maxAgeMs ? entry.limits : undefined;
  }

  async function read(gathered: Gathering): Promise<ReadonlyMap<string, LimitOverrides>> {
    if (gathering === gathered) gathering = undefined;
    const before = changes;
    const readAt = elapsed();
    const overrides = await limitOverridesOf(sql, [...gathered.organizationIds]);
    if (changes === before) {
      for (const organizationId of gathered.organizationIds) {
        entries.set(organizationId, { limits: limitsWith(defaults, overrides.get(organizationId) ?? null), readAt });
      }
    }
    return overrides;
  }

  function gather(organizationId: string): Gathering {
    if (gathering === undefined || gathering.organizationIds.size >= maxAtOnce) {
      const begun: Gathering = { organizationIds: new Set(), found: Promise.resolve().then(() => read(begun)) };
      gathering = begun;
    }
    gathering.organizationIds.add(organizationId);
    return gathering;
  }

  return {
    known,
    async of(organizationId) {
      const remembered = known(organizationId);
      if (remembered !== undefined) return remembered;
      try {
        const overrides = await gather(organizationId).found;
        return limitsWith(defaults, overrides.get(organizationId) ?? null);
      } catch (error) {
        const last = entries.peek(organizationId);
        if (last === undefined) throw error;
        entries.set(organizationId, { ...last, readAt: elapsed() - maxAgeMs + retryMs });
        return last.limits;
      }
    },
    async changed(organizationId, transaction) {
      await channel.publish("limits-changed", organizationId, transaction);
    },
  };
}

const maxOrganizations = 50_000;
const maxAtOnce = 500;
const maxAgeMs = 60_000;
/** How soon reading is tried again where it failed. */
const retryMs = 2_000;

interface Entry {
  limits: Limits;
  readAt: number;
}

interface Gathering {
  organizationIds: Set<string>;
  found: Promise<ReadonlyMap<string, LimitOverrides>>;
}
