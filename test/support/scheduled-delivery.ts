import { randomUUID } from "node:crypto";
import type { Database } from "../../src/store/database.ts";
import { DeliveryEntity } from "../../src/store/entities/delivery.ts";

/** Writes a delivery that failed once and is due now, without its event and its webhook's lane. Returns its id. */
export async function insertScheduledDelivery(
  database: Database,
  target: { organizationId: string; webhookId: string },
): Promise<string> {
  const id = randomUUID();
  const now = new Date();
  await database.em().insert(DeliveryEntity, {
    id,
    ...target,
    eventId: randomUUID(),
    eventType: "a",
    status: "SCHEDULED",
    statusReason: "",
    attemptCount: 1,
    nextAttemptAt: now,
    manualRetry: null,
    lastStatusCode: 500,
    createdAt: now,
    completedAt: null,
  });
  return id;
}
