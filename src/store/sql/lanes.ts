import type { ManualRetry } from "../../domain/delivery.ts";
import type { WebhookStatus } from "../../domain/webhook.ts";
import type { Sql } from "../sql.ts";

/** A lane that this process may work on until its lease expires. Times in milliseconds since the epoch. */
export interface ClaimedLane {
  webhookId: string;
  /** Grows with each claim: who holds an older one has lost the lane. */
  fence: number;
  /** Null where nothing was recorded in the lane and its webhook is deleted. */
  organizationId: string | null;
  /** Null where the webhook is deleted. */
  status: WebhookStatus | null;
  /** Until when the circuit breaker is open; null: it is closed. */
  openUntil: number | null;
  /** How often in a row the breaker has opened. */
  opened: number;
  /** When the rate limit's next request would be due at an even pace. */
  rateTime: number | null;
  /**
   * Where another process did not give it back, such as one that was killed: until when that one may have begun requests of which the row says
   * nothing.
   */
  leftAt: number | null;
  /** Whether ordered deliveries wait in it. */
  hasOrdered: boolean;
}

export interface LaneClaim {
  owner: string;
  /** Milliseconds since the epoch. */
  now: number;
  limit: number;
  leaseMs: number;
  /** Organizations that hold enough lanes already: theirs are taken only where no others are due. */
  busyOrganizations?: readonly string[];
  /** How many lanes of one organization are taken at a time. */
  maxPerOrganization?: number;
}

/**
 * Takes up to `limit` lanes that are due and that nobody holds: of each organization the one that has been due longest, then of each the next
 * one, and so on.
 */
export async function claimLanes(
  sql: Sql,
  { owner, now, limit, leaseMs, busyOrganizations = [], maxPerOrganization = limit }: LaneClaim,
): Promise<ClaimedLane[]> {
  const take = (busy: readonly string[]) =>
    sql.query<ClaimedLane>(claim, [owner, new Date(now).toISOString(), limit, leaseMs, busy, maxPerOrganization]);
  const lanes = await take(busyOrganizations);
  return lanes.length === 0 && busyOrganizations.length > 0 ? await take([]) : lanes;
}

/** Keeps the lanes for another lease, and returns the webhooks of those that are still held. */
export async function renewLanes(
  sql: Sql,
  { owner, webhookIds, leaseMs }: { owner: string; webhookIds: readonly string[]; leaseMs: number },
): Promise<Set<string>> {
  const rows = await sql.query<{ webhook_id: string }>(renew, [owner, webhookIds, leaseMs]);
  return new Set(rows.map((row) => row.webhook_id));
}

/** A scheduled delivery that is due, with its event; `dataJson` is null where the event's record is gone. Times in milliseconds since the epoch. */
export interface DueDelivery {
  id: string;
  organizationId: string;
  eventId: string;
  eventType: string;
  attemptCount: number;
  manualRetry: ManualRetry | null;
  createdAt: number;
  orderingKey: string | null;
  /** The event's place in the broker's order. */
  sequence: number | null;
  dataJson: string | null;
  externalId: string | null;
  source: string | null;
  subject: string | null;
  replayOf: string | null;
  occurredAt: number | null;
}

/** A part of what is due in a lane. */
export interface DueDeliveries {
  deliveries: DueDelivery[];
  /** Nothing else is due. */
  isAll: boolean;
}

export interface DueRange {
  webhookId: string;
  /** Milliseconds since the epoch. */
  now: number;
  limit: number;
  /** Of the payloads together: those that begin within it are read, which is one in any case. Positive. */
  maxBytes: number;
  except?: readonly string[];
}

/**
 * The next deliveries of a lane, in the order in which they are due, but for those of `except`: what is under way still stands there as due. Their
 * payloads are not read.
 */
export async function dueDeliveries(
  sql: Sql,
  { webhookId, now, limit, maxBytes, except = [] }: DueRange,
): Promise<DueDeliveries> {
  const rows = await sql.query<ScheduledRow>(due, [webhookId, new Date(now).toISOString(), limit, except]);
  if (rows.length === 0) {
    return { deliveries: [], isAll: true };
  }
  const events = await sql.query<EventRow>(eventsOf, [
    rows.map((row) => row.eventId),
    rows.map((row) => row.organizationId),
    rows.map((row) => new Date(row.createdAt).toISOString()),
    Math.ceil(maxBytes),
  ]);
  const byPlace = new Map(events.map(({ place, ...event }) => [place, event]));
  const deliveries: DueDelivery[] = [];
  for (const [index, row] of rows.entries()) {
    const { isBeyond, ...event } = byPlace.get(index + 1) ?? noEvent;
    if (isBeyond) {
      return { deliveries, isAll: false };
    }
    deliveries.push({ ...row, ...event });
  }
  return { deliveries, isAll: rows.length < limit };
}

type EventFields = "dataJson" | "externalId" | "source" | "subject" | "replayOf" | "occurredAt";

type ScheduledRow = Omit<DueDelivery, EventFields>;

/** `place`: of its delivery among those that are due, from 1. `isBeyond`: the payloads before it are as many bytes as may be read. */
type EventRow = Pick<DueDelivery, EventFields> & { place: number; isBeyond: boolean };

const noEvent: Omit<EventRow, "place"> = {
  dataJson: null,
  externalId: null,
  source: null,
  subject: null,
  replayOf: null,
  occurredAt: null,
  isBeyond: false,
};

/**
 * Gives a lane back: due again with the first of its scheduled deliveries, in about a second where some wait for their turns, gone where there is
 * none. With `hold`, it is due only when somebody says so (a paused webhook). Returns when it is next due in milliseconds since the epoch;
 * undefined where it is gone, was lost, or is held.
 */
export async function releaseLane(sql: Sql, lane: ReleasedLane): Promise<number | undefined> {
  const { webhookId, owner, fence, hold, notBefore, breaker, rateTime } = lane;
  return await sql.transaction(async (transaction) => {
    // The row first, and the rest in statements after it, which see what was committed before: whoever adds a delivery or resumes the
    // webhook from here on waits for the row, and then sets its time.
    const [held] = await transaction.query(lock, [webhookId, owner, fence]);
    if (held === undefined) {
      return undefined;
    }
    const [released] = await transaction.query<{ due_at: number }>(release, [
      webhookId,
      hold,
      new Date(notBefore).toISOString(),
      isoTime(breaker.openUntil),
      breaker.opened,
      // Rounded up: the rate limit is never passed for a fraction of a millisecond.
      isoTime(rateTime === null ? null : Math.ceil(rateTime)),
    ]);
    await transaction.query(remove, [webhookId]);
    return released !== undefined && Number.isFinite(released.due_at) ? released.due_at : undefined;
  });
}

/** A lane as its holder leaves it. Times in milliseconds since the epoch. */
export interface ReleasedLane {
  webhookId: string;
  owner: string;
  fence: number;
  hold: boolean;
  /** It is due no earlier, whatever is scheduled; 0: no bound. What is to be cancelled does not wait. */
  notBefore: number;
  breaker: { openUntil: number | null; opened: number };
  rateTime: number | null;
}

/**
 * Cancels what waits for a webhook that is disabled or deleted, a thousand deliveries at a time, so that no lock and no transaction is long. Ends
 * early where somebody takes the webhook out of DISABLED. What is being recorded at the moment is passed over: the lane stays due for it. Returns
 * how many were cancelled. `now` in milliseconds since the epoch.
 */
export async function cancelWaiting(
  sql: Sql,
  { webhookId, reason, now }: { webhookId: string; reason: string; now: number },
): Promise<number> {
  let cancelled = 0;
  let moved: number;
  do {
    moved = await cancelSomeWaiting(sql, { webhookId, reason, now });
    cancelled += moved;
  } while (moved === chunk);
  return cancelled;
}

/**
 * Cancels the first thousand of what `cancelWaiting` cancels, and returns how many there were: for a transaction that does something else too. The
 * rows stay locked until it ends, and whoever records an outcome of one of them waits for that, with the outcomes of everybody else. Make the lane
 * due, whose worker cancels the others.
 */
export async function cancelSomeWaiting(
  sql: Sql,
  { webhookId, reason, now }: { webhookId: string; reason: string; now: number },
): Promise<number> {
  const [row] = await sql.query<{ moved: number }>(cancel, [webhookId, reason, new Date(now).toISOString(), chunk]);
  return row?.moved ?? 0;
}

const chunk = 1_000;

function isoTime(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

// Index: lane_due. One row for each webhook with scheduled deliveries, however many those are; the turns are made among the thousand that have
// been due longest, so that the cost stays bounded. A webhook without a known organization counts as one of its own.
const claim = {
  name: "claim-lanes",
  text: `
    with oldest as (
      select webhook_id, coalesce(organization_id, webhook_id) as organization_id, due_at
      from lane
      where due_at <= $2::timestamptz and (lease_expires_at is null or lease_expires_at < now())
        and (organization_id is null or organization_id <> all($5::uuid[]))
      order by due_at
      limit 1000
    ), ranked as (
      select webhook_id, due_at, row_number() over (partition by organization_id order by due_at) as turn from oldest
    ), due as (
      select l.webhook_id, case when l.lease_owner <> $1::uuid then l.lease_expires_at end as left_at
      from ranked r join lane l on l.webhook_id = r.webhook_id
      where r.turn <= $6 and l.due_at <= $2::timestamptz and (l.lease_expires_at is null or l.lease_expires_at < now())
      order by r.turn, r.due_at
      limit $3
      for update of l skip locked
    ), claimed as (
      update lane l
      set lease_owner = $1::uuid, lease_expires_at = now() + $4::integer * interval '1 millisecond', fence = l.fence + 1
      from due where l.webhook_id = due.webhook_id
      returning l.*, due.left_at
    )
    select c.webhook_id as "webhookId", c.fence::float8 as fence,
           coalesce(w.organization_id, c.organization_id) as "organizationId", w.status,
           round(extract(epoch from c.open_until) * 1000)::float8 as "openUntil", c.opened,
           (extract(epoch from c.rate_time) * 1000)::float8 as "rateTime",
           (extract(epoch from c.left_at) * 1000)::float8 as "leftAt",
           exists (
             select from scheduled_delivery s where s.webhook_id = c.webhook_id and s.ordering_key is not null
           ) as "hasOrdered"
    from claimed c left join webhook w on w.id = c.webhook_id`,
};

// Index: the primary key. Locked in the order of the ids, as whoever records deliveries of several lanes locks them: nobody waits in a ring.
const renew = {
  name: "renew-lanes",
  text: `
    update lane set lease_expires_at = now() + $3::integer * interval '1 millisecond'
    where webhook_id in (
      select webhook_id from lane where webhook_id = any($2::uuid[]) and lease_owner = $1::uuid order by webhook_id for update
    )
    returning webhook_id`,
};

// Index: scheduled_delivery_due, from its first entry on.
const due = {
  name: "due-deliveries",
  text: `
    select id, organization_id as "organizationId", event_id as "eventId", event_type as "eventType",
           attempt_count as "attemptCount", manual_retry as "manualRetry",
           round(extract(epoch from created_at) * 1000)::float8 as "createdAt",
           ordering_key as "orderingKey", sequence::float8 as sequence
    from scheduled_delivery
    where webhook_id = $1 and next_attempt_at <= $2::timestamptz and id <> all($4::uuid[])
    order by next_attempt_at, id
    limit $3`,
};

// Index: each partition's own of id and organization. A statement of its own, because the times are known then: only the partitions of those days
// are planned for, however many there are. `limit 1` has each event found by index, whatever the database knows of the table's size. A webhook's
// deliveries are all of one organization. The lengths are known without the payloads, of which those beyond the bytes are not read. Answers by the
// places of the deliveries: an event's id may be there twice, because it is not remembered for ever.
const eventsOf = {
  name: "events-of-due-deliveries",
  text: `
    select place, case when before < $4 then data_json end as "dataJson", before >= $4 as "isBeyond", external_id as "externalId", source,
           subject, replay_of as "replayOf", (extract(epoch from occurred_at) * 1000)::float8 as "occurredAt"
    from (
      select e.*, wanted.place::integer as place,
             sum(octet_length(e.data_json)) over (order by wanted.place) - octet_length(e.data_json) as before
      from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) with ordinality as wanted (id, organization_id, received_at, place)
      cross join lateral (
        select * from event
        where id = wanted.id and organization_id = wanted.organization_id and received_at = wanted.received_at
          and received_at = any($3::timestamptz[])
        limit 1
      ) e
    ) found`,
};

// Index: the primary key. The owner too, because the fence of a lane that was removed and made again begins anew.
const lock = {
  name: "lock-lane",
  text: "select webhook_id from lane where webhook_id = $1 and lease_owner = $2::uuid and fence = $3 for update",
};

// Index: the first entry of scheduled_delivery_due, and of scheduled_delivery_sequence after what the turns were given out for. A lane with
// nothing scheduled is due at -infinity, and removed by the next statement, unless its breaker or its rate limit must be remembered: then that is
// when it is due. One whose webhook was disabled or deleted since the lane was claimed is due at once, so that what waits is cancelled. The hold
// counts only while the webhook is not active: it may have been resumed since the lane was claimed.
const release = {
  name: "release-lane",
  text: `
    update lane
    set lease_owner = null, lease_expires_at = null, open_until = $4::timestamptz, opened = $5, rate_time = $6::timestamptz,
        due_at = case
          when next.at is null then case
            when greatest($4::timestamptz, $6::timestamptz) > now() then greatest($4::timestamptz, $6::timestamptz)
            else '-infinity'
          end
          when not exists (select from webhook where id = $1 and status <> 'DISABLED') then now()
          when $2::boolean and not exists (select from webhook where id = $1 and status = 'ACTIVE') then 'infinity'
          when next.at = 'infinity' or exists (
            select from scheduled_delivery s
            where s.webhook_id = $1 and s.ordering_key is not null and s.sequence > lane.ordered_through
          ) then greatest($3::timestamptz, least(next.at, now() + interval '1 second'))
          else greatest($3::timestamptz, next.at)
        end
    from (select min(next_attempt_at) as at from scheduled_delivery where webhook_id = $1) next
    where webhook_id = $1
    returning extract(epoch from due_at)::float8 * 1000 as due_at`,
};

const remove = {
  name: "remove-lane",
  text: "delete from lane where webhook_id = $1 and due_at = '-infinity'",
};

// Index: scheduled_delivery_due. Locked rows are skipped: nobody waits, and no two processes wait for each other in a ring. By their places, which
// hold while the rows are locked: whatever the size of the table is believed to be, nothing is joined.
const cancel = {
  name: "cancel-waiting",
  text: `
    with removed as (
      delete from scheduled_delivery
      where ctid = any (array(
        select ctid from scheduled_delivery
        where webhook_id = $1 and not exists (select from webhook where id = $1 and status <> 'DISABLED')
        order by next_attempt_at, id
        limit $4
        for update skip locked
      ))
      returning *
    ), written as (
      insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
                            last_status_code, created_at, completed_at)
      select id, organization_id, webhook_id, event_id, event_type, 'CANCELLED', $2, attempt_count, last_status_code, created_at,
             $3::timestamptz
      from removed
      on conflict (id) do nothing
    )
    select count(*)::integer as moved from removed`,
};
