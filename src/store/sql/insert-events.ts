import type { EventRecord } from "../../domain/event.ts";
import type { Sql } from "../sql.ts";

/**
 * Writes events, payload included, and returns the keys (`eventKey`) of those that are new. An id that the organization has used before
 * changes nothing: the first event stands.
 */
export async function insertEvents(sql: Sql, events: readonly EventRecord[], receivedAt: Date): Promise<Set<string>> {
  const rows = await sql.query<{ id: string; organization_id: string }>(statement, [
    events.map((event) => event.id),
    events.map((event) => event.organizationId),
    events.map((event) => event.externalId),
    events.map((event) => event.type),
    events.map((event) => event.dataJson),
    events.map((event) => event.source),
    events.map((event) => event.subject),
    events.map((event) => event.projectId),
    events.map((event) => event.orderingKey),
    events.map((event) => event.traceparent),
    events.map((event) => event.occurredAt.toISOString()),
    receivedAt.toISOString(),
  ]);
  return new Set(rows.map((row) => eventKey(row.organization_id, row.id)));
}

/** An event's id is unique only within its organization. */
export function eventKey(organizationId: string, eventId: string): string {
  return `${organizationId} ${eventId}`;
}

// Cost: one row and two index entries for each event, one statement for each batch.
const statement = {
  name: "insert-events",
  text: `
    insert into event (id, organization_id, external_id, type, data_json, source, subject, project_id, ordering_key, traceparent,
                       occurred_at, received_at)
    select *, $12::timestamptz
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::text[], $11::timestamptz[])
    on conflict (id, organization_id) do nothing
    returning id, organization_id`,
};
