import { randomUUID } from "node:crypto";
import { deliveryIdOf } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";

/** Writes a delivery that failed once and is due now, without its event and its webhook's lane. Returns its id. */
export async function insertScheduledDelivery(
  database: Database,
  target: { organizationId: string; webhookId: string },
): Promise<string> {
  const now = Date.now();
  const eventId = randomUUID();
  const id = deliveryIdOf(eventId, now, target.webhookId);
  await database.sql.query({ name: "", text: insert }, [
    id,
    target.organizationId,
    target.webhookId,
    eventId,
    new Date(now).toISOString(),
  ]);
  return id;
}

const insert = `
  insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at, last_status_code,
                                  created_at)
  values ($1, $2, $3, $4, 'a', 1, $5, 500, $5)`;
