import type { EventRecord } from "../../domain/event.ts";
import type { Sql } from "../sql.ts";

/** An event that was received before, as it stands, and the deliveries that are recorded for it. */
export interface KnownEvent {
  event: EventRecord;
  receivedAt: number;
  deliveryIds: ReadonlySet<string>;
}

/** Reads events that are there already, with the ids of their deliveries. The two arrays name them in pairs. */
export async function knownEvents(
  sql: Sql,
  eventIds: readonly string[],
  organizationIds: readonly string[],
): Promise<KnownEvent[]> {
  const rows = await sql.query<KnownEventRow>(statement, [eventIds, organizationIds]);
  return rows.map(({ delivery_ids, received_at, occurred_at, ...event }) => ({
    event: { ...event, occurredAt: new Date(occurred_at) },
    receivedAt: received_at,
    deliveryIds: new Set(delivery_ids),
  }));
}

type KnownEventRow = Omit<EventRecord, "occurredAt"> & {
  occurred_at: number;
  received_at: number;
  delivery_ids: string[];
};

// Index: the event's primary key, delivery_event. Only for events that come a second time.
const statement = {
  name: "known-events",
  text: `
    select e.id, e.organization_id as "organizationId", e.external_id as "externalId", e.type, e.data_json as "dataJson", e.source,
           e.subject, e.project_id as "projectId", e.ordering_key as "orderingKey", e.traceparent,
           (extract(epoch from e.occurred_at) * 1000)::float8 as occurred_at,
           (extract(epoch from e.received_at) * 1000)::float8 as received_at,
           array(select d.id from delivery d where d.event_id = e.id and d.organization_id = e.organization_id)::text[] as delivery_ids
    from event e
    join unnest($1::uuid[], $2::uuid[]) as wanted (id, organization_id)
      on e.id = wanted.id and e.organization_id = wanted.organization_id`,
};
