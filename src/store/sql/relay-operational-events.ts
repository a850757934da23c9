import type { OperationalEvent } from "../../domain/operational-event.ts";
import type { Sql } from "../sql.ts";

/**
 * Takes the oldest events that wait, for as long as the claim lasts; what is neither removed nor released by then is taken again. Empty while
 * somebody else has any, so that the events go out in their order.
 */
export async function claimOperationalEvents(
  sql: Sql,
  { limit, claimMs }: { limit: number; claimMs: number },
): Promise<OperationalEvent[]> {
  const [anyone] = await sql.query<{ waits: boolean }>(look, []);
  if (anyone?.waits !== true) return [];
  return await sql.transaction(async (transaction) => {
    // One at a time, and the next statement sees what the one before claimed: else two would take a part each, and the parts could overtake.
    const [lock] = await transaction.query<{ isOurs: boolean }>(tryLock, []);
    return lock?.isOurs === true ? await transaction.query<OperationalEvent>(claim, [limit, claimMs]) : [];
  });
}

/** Forgets events that the broker holds. */
export async function removeOperationalEvents(sql: Sql, ids: readonly string[]): Promise<void> {
  await sql.query(remove, [ids]);
}

/** Gives events back that the broker did not take. */
export async function releaseOperationalEvents(sql: Sql, ids: readonly string[]): Promise<void> {
  await sql.query(release, [ids]);
}

// Index: operational_event_next, its first entry. The table is nearly always empty.
const look = {
  name: "look-for-operational-events",
  text: "select exists (select from operational_event) as waits",
};

/** The number is the lock's only meaning. */
const tryLock = {
  name: "lock-operational-events",
  text: `select pg_try_advisory_xact_lock(${0x6f_70_65_76}) as "isOurs"`,
};

// Index: operational_event_next, from its start, and operational_event_claimed. A claim and not a lock that is held while the broker is
// asked: the embedded database has one connection, and its broker is the same database.
const claim = {
  name: "claim-operational-events",
  text: `
    with next as (
      select id from operational_event
      where claimed_until is null or claimed_until < now()
      order by occurred_at, id
      limit $1
    ), claimed as (
      update operational_event e
      set claimed_until = now() + $2::integer * interval '1 millisecond'
      from next
      where e.id = next.id and not exists (select from operational_event other where other.claimed_until >= now())
      returning e.id, e.organization_id, e.type, e.data_json, e.occurred_at
    )
    select id, organization_id as "organizationId", type, data_json as "dataJson",
           (extract(epoch from occurred_at) * 1000)::float8 as "occurredAt"
    from claimed
    order by occurred_at, id`,
};

const remove = {
  name: "remove-operational-events",
  text: "delete from operational_event where id = any($1::uuid[])",
};

const release = {
  name: "release-operational-events",
  text: "update operational_event set claimed_until = null where id = any($1::uuid[])",
};
