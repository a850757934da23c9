import { defineEntity, p } from "@mikro-orm/core";
import type { ManualRetry } from "../../domain/delivery.ts";

/** A delivery that is still to be sent. To be written with the ORM, not read: an `infinity` of the database is no Date. */
export const ScheduledDeliveryEntity = defineEntity({
  name: "ScheduledDelivery",
  tableName: "scheduled_delivery",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    eventId: p.uuid(),
    eventType: p.text(),
    attemptCount: p.integer(),
    nextAttemptAt: p.datetime(),
    /** Set while somebody asked for the next attempt by hand. */
    manualRetry: p.text().$type<ManualRetry>().nullable(),
    lastStatusCode: p.integer(),
    createdAt: p.datetime(),
    /** Set where the webhook wants the events of one key in their order. */
    orderingKey: p.text().nullable(),
    /** The event's place in the broker's order. */
    sequence: p.bigint("number").nullable(),
  },
});
