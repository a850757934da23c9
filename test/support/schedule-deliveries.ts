import { deliveryIdOf } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import { newEvent } from "./engine.ts";

/** Writes deliveries to one webhook, each of an event of its own, due at these times (milliseconds since the epoch). Their lane is due too. */
export async function scheduleDeliveries(
  database: Database,
  { organizationId, webhookId }: { organizationId: string; webhookId: string },
  times: readonly number[],
): Promise<void> {
  const createdAt = Date.now();
  const deliveries = times.map((nextAttemptAt): DeliveryRecord => {
    const { id: eventId, type: eventType } = newEvent(organizationId);
    const identity = { id: deliveryIdOf(eventId, createdAt, webhookId), organizationId, webhookId, eventId, eventType };
    const state = { status: "SCHEDULED" as const, statusReason: "", attemptCount: 0, lastStatusCode: 0, nextAttemptAt };
    return { ...identity, ...state, createdAt, completedAt: null, orderingKey: null, sequence: null };
  });
  await database.sql.query({ name: "", text: insertEvents }, [
    deliveries.map(({ eventId }) => eventId),
    organizationId,
    new Date(createdAt).toISOString(),
  ]);
  await recordOutcomes(database.sql, { deliveries, attempts: [], disablings: [] });
}

const insertEvents = `
  insert into event (id, organization_id, type, data_json, occurred_at, received_at)
  select id, $2::uuid, 'order.paid', '{}', $3::timestamptz, $3::timestamptz from unnest($1::uuid[]) as id`;
