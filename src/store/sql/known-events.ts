import type { EventRecord } from "../../domain/event.ts";
import { deliveryIdRange, firstIdAt } from "../../domain/ids.ts";
import type { Sql } from "../sql.ts";
import { type Incarnation, presentIncarnation } from "./incarnation.ts";
import { eventKey } from "./insert-events.ts";

/** An event that was received before, as it stands, and the deliveries that are recorded for it. */
export interface KnownEvent {
  event: EventRecord;
  /** Milliseconds since the epoch, whole. */
  receivedAt: number;
  deliveryIds: ReadonlySet<string>;
  /** The incarnation that it is there in, and may be lost with, whoever wrote it; undefined where it certainly outlives a crash. */
  storedIn: Incarnation | undefined;
}

/**
 * Reads events that are there already, with the ids of their deliveries. The two arrays name them in pairs. Only what was received since then is
 * looked at (`rememberedSince`); of one id, the newest.
 */
export async function knownEvents(
  sql: Sql,
  eventIds: readonly string[],
  organizationIds: readonly string[],
  since: Date = new Date(0),
): Promise<KnownEvent[]> {
  const rows = await sql.query<EventRow>(selectEvents, [eventIds, organizationIds, since.toISOString()]);
  if (rows.length === 0) {
    return [];
  }
  const deliveryIds = await deliveriesOf(sql, rows);
  return rows.map(({ received_at, occurred_at, stored_in, ...event }) => ({
    event: { ...event, occurredAt: new Date(occurred_at) },
    receivedAt: received_at,
    deliveryIds: deliveryIds.get(eventKey(event.organizationId, event.id)) ?? none,
    storedIn: stored_in ?? undefined,
  }));
}

type EventRow = Omit<EventRecord, "occurredAt"> & {
  occurred_at: number;
  received_at: number;
  stored_in: Incarnation | null;
};

const none: ReadonlySet<string> = new Set();

/** By `eventKey`. */
async function deliveriesOf(sql: Sql, events: readonly EventRow[]): Promise<Map<string, Set<string>>> {
  const ranges = events.map(({ id, received_at }) => deliveryIdRange(id, received_at));
  const times = events.map((event) => event.received_at);
  const rows = await sql.query<{ id: string; event_id: string; organization_id: string }>(selectDeliveries, [
    events.map((event) => event.id),
    events.map((event) => event.organizationId),
    ranges.map(({ first }) => first),
    ranges.map(({ last }) => last),
    firstIdAt(Math.min(...times)),
    firstIdAt(Math.max(...times) + 1),
  ]);
  const found = new Map<string, Set<string>>();
  for (const { id, event_id, organization_id } of rows) {
    const key = eventKey(organization_id, event_id);
    const ids = found.get(key);
    if (ids === undefined) {
      found.set(key, new Set([id]));
    } else {
      ids.add(id);
    }
  }
  return found;
}

// Index: each partition's own of id and organization, in the partitions since then. Only for events that come a second time. The incarnation is asked
// for here, and not taken from the statement that found them known: that one may have begun before the incarnation had a name, and met an
// event that another process wrote since, which waits for the disk still.
const selectEvents = {
  name: "known-events",
  text: `
    select e.id, e.organization_id as "organizationId", e.external_id as "externalId", e.type, e.data_json as "dataJson", e.source,
           e.subject, e.project_id as "projectId", e.ordering_key as "orderingKey", e.traceparent,
           (extract(epoch from e.occurred_at) * 1000)::float8 as occurred_at,
           round(extract(epoch from e.received_at) * 1000)::float8 as received_at,
           ${presentIncarnation} as stored_in
    from unnest($1::uuid[], $2::uuid[]) as wanted (id, organization_id)
    cross join lateral (
      select * from event
      where id = wanted.id and organization_id = wanted.organization_id and received_at >= $3::timestamptz
      order by received_at desc
      limit 1
    ) e`,
};

// Index: the primary keys. The deliveries of an event are one small range of ids; the two bounds of all of them leave the other partitions out.
const selectDeliveries = {
  name: "deliveries-of-known-events",
  text: `
    with wanted as materialized (
      select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) as w (event_id, organization_id, first, last)
    )
    select d.id, d.event_id, d.organization_id
    from wanted w
    join delivery d on d.id between w.first and w.last and d.event_id = w.event_id and d.organization_id = w.organization_id
    where d.id >= $5::uuid and d.id < $6::uuid
    union all
    select s.id, s.event_id, s.organization_id
    from wanted w
    join scheduled_delivery s on s.id between w.first and w.last and s.event_id = w.event_id and s.organization_id = w.organization_id`,
};
