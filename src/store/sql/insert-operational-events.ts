import type { OperationalEvent } from "../../domain/operational-event.ts";
import type { Sql } from "../sql.ts";

/** Writes events about Tellwire itself, to be published after the transaction. One that waits there already changes nothing. */
export async function insertOperationalEvents(transaction: Sql, events: readonly OperationalEvent[]): Promise<void> {
  if (events.length === 0) {
    return;
  }
  await transaction.query(statement, [
    events.map((event) => event.id),
    events.map((event) => event.organizationId),
    events.map((event) => event.type),
    events.map((event) => event.dataJson),
    events.map((event) => new Date(event.occurredAt).toISOString()),
  ]);
}

// Index: the primary key. Rare: deliveries that are given up, and webhooks that are disabled.
const statement = {
  name: "insert-operational-events",
  text: `
    insert into operational_event (id, organization_id, type, data_json, occurred_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
    on conflict (id) do nothing`,
};
