import { deliveryIdRange } from "../../domain/ids.ts";
import type { Sql } from "../sql.ts";
import type { EventDeliveries } from "./delivery-pages.ts";

/**
 * Where the deliveries of an event stand. More than one answer where several organizations chose the same id, or where one event was
 * published again so late that it counted as new; none where the event is not kept (any more).
 */
export async function findEventDeliveries(
  sql: Sql,
  { eventId, organizationId }: { eventId: string; organizationId: string | undefined },
): Promise<EventDeliveries[]> {
  const rows = await sql.query<{ receivedAt: number }>(findReceipts, [eventId, organizationId ?? null, maxPlaces]);
  return rows.map(({ receivedAt }) => ({ eventId, ...deliveryIdRange(eventId, receivedAt) }));
}

/** Whether the payload of a delivery's event is still kept. `createdAt` is the delivery's: the time at which the event was received. */
export async function isEventKept(
  sql: Sql,
  { eventId, organizationId, createdAt }: { eventId: string; organizationId: string; createdAt: Date },
): Promise<boolean> {
  const found = await sql.query(findEvent, [eventId, organizationId, createdAt.toISOString()]);
  return found.length > 0;
}

/** Each has two small queries of its own in the page. */
const maxPlaces = 10;

// Index: the unique one on (id, organization_id) of each partition; one probe for each day that is kept.
const findReceipts = {
  name: "find-event-receipts",
  text: `
    select distinct (extract(epoch from received_at) * 1000)::float8 as "receivedAt" from event
    where id = $1::uuid and ($2::uuid is null or organization_id = $2::uuid)
    order by 1 desc
    limit $3`,
};

// The same index in one partition, that of the day.
const findEvent = {
  name: "find-event",
  text: "select from event where id = $1::uuid and organization_id = $2::uuid and received_at = $3::timestamptz",
};
