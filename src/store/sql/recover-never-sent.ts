import type { EventAudience } from "../../domain/event.ts";
import type { Sql } from "../sql.ts";

/** An event as a recovery looks at it. */
export interface ReceivedEvent {
  id: string;
  type: string;
  projectId: string | null;
  audience: EventAudience;
  /** Milliseconds since the epoch. */
  receivedAt: number;
  /** As exact as the database has it: a timestamptz as text. */
  receivedAtText: string;
}

/** The organization's events after a place in the order of receipt and id, and received before a time. */
export async function eventsReceived(
  sql: Sql,
  { organizationId, after, before, limit }: EventRange,
): Promise<ReceivedEvent[]> {
  return await sql.query<ReceivedEvent>(read, [organizationId, after.time, after.id, isoTime(before), limit]);
}

export interface EventRange {
  organizationId: string;
  /** A timestamptz as text, and an event's id. */
  after: { time: string; id: string };
  /** Milliseconds since the epoch. */
  before: number;
  limit: number;
}

/** The place before every event that was received at the time or later. Nothing was received before 1970, and Postgres has no year 0. */
export function placeBefore(time: number): EventRange["after"] {
  return { time: isoTime(Math.max(0, time) - 1), id: "ffffffff-ffff-ffff-ffff-ffffffffffff" };
}

/** Which of these deliveries are on record: `untried` where one was cancelled before its first attempt. */
export async function recordedDeliveries(
  sql: Sql,
  ids: readonly string[],
): Promise<Map<string, { isUntried: boolean }>> {
  if (ids.length === 0) return new Map();
  const sorted = [...ids].sort();
  const rows = await sql.query<{ id: string; isUntried: boolean }>(look, [ids, sorted[0], sorted.at(-1)]);
  return new Map(rows.map(({ id, isUntried }) => [id, { isUntried }]));
}

export interface NewDelivery {
  id: string;
  event: ReceivedEvent;
}

/** Schedules deliveries for now that were never there. Returns how many; one that is there by now is let be. */
export async function scheduleDeliveries(
  transaction: Sql,
  deliveries: readonly NewDelivery[],
  { organizationId, webhookId, now }: { organizationId: string; webhookId: string; now: number },
): Promise<number> {
  if (deliveries.length === 0) return 0;
  const inserted = await transaction.query(insert, [
    organizationId,
    webhookId,
    isoTime(now),
    deliveries.map(({ id }) => id),
    deliveries.map(({ event }) => event.id),
    deliveries.map(({ event }) => event.type),
    deliveries.map(({ event }) => event.receivedAtText),
  ]);
  return inserted.length;
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

// Index: event_received of the partitions from the place on, without the payloads. The first condition is what leaves out older partitions.
const read = {
  name: "read-received-events",
  text: `
    select id, type, project_id as "projectId", audience, (extract(epoch from received_at) * 1000)::float8 as "receivedAt",
           received_at::text as "receivedAtText"
    from event
    where organization_id = $1 and received_at >= $2::timestamptz and (received_at, id) > ($2::timestamptz, $3::uuid)
      and received_at < $4::timestamptz
    order by received_at, id
    limit $5`,
};

// Index: the primary keys; of delivery the partitions of the days between the first and the last id.
const look = {
  name: "look-for-recorded-deliveries",
  text: `
    select id, false as "isUntried" from scheduled_delivery where id = any($1::uuid[])
    union all
    select id, status = 'CANCELLED' and attempt_count = 0 from delivery
    where id = any($1::uuid[]) and id >= $2::uuid and id <= $3::uuid`,
};

// In the order of the ids, as the recorders write: nobody waits in a ring.
const insert = {
  name: "schedule-recovered-deliveries",
  text: `
    insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                    manual_retry, last_status_code, created_at, ordering_key, sequence)
    select delivery.id, $1::uuid, $2::uuid, delivery.event_id, delivery.event_type, 0, $3::timestamptz, null, 0,
           delivery.created_at, null, null
    from unnest($4::uuid[], $5::uuid[], $6::text[], $7::timestamptz[]) as delivery (id, event_id, event_type, created_at)
    order by delivery.id
    on conflict (id) do nothing
    returning id`,
};
