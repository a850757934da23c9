import { defineEntity, p } from "@mikro-orm/core";
import type { DeliveryStatus } from "../../domain/delivery.ts";

/**
 * A delivery that is finished. In partitions by its id, which begins with `createdAt`: the time at which its event was received. The columns that hold
 * the attempt of one that arrived at once are known to `recordDelivered` and `storedAttempts`.
 */
export const DeliveryEntity = defineEntity({
  name: "Delivery",
  tableName: "delivery",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    eventId: p.uuid(),
    eventType: p.text(),
    status: p.text().$type<Exclude<DeliveryStatus, "SCHEDULED">>(),
    statusReason: p.text(),
    attemptCount: p.integer(),
    lastStatusCode: p.integer(),
    createdAt: p.datetime(),
    completedAt: p.datetime(),
  },
});
