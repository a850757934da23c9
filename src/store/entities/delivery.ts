import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { DeliveryStatus, ManualRetry } from "../../domain/delivery.ts";

/** One event on its way to one webhook. */
export const DeliveryEntity = defineEntity({
  name: "Delivery",
  tableName: "delivery",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    eventId: p.uuid(),
    eventType: p.text(),
    status: p.text().$type<DeliveryStatus>(),
    statusReason: p.text(),
    attemptCount: p.integer(),
    nextAttemptAt: p.datetime().nullable(),
    /** Set while somebody asked for the next attempt by hand. */
    manualRetry: p.text().$type<ManualRetry>().nullable(),
    lastStatusCode: p.integer(),
    createdAt: p.datetime(),
    completedAt: p.datetime().nullable(),
  },
});

export type Delivery = InferEntity<typeof DeliveryEntity>;
