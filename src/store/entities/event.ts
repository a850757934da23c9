import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { EventAudience } from "../../domain/event.ts";

/**
 * An event as it was received. The id is a publisher's: it is unique only within the organization, and one that is used again a day later is
 * another event. In partitions by the time of receipt.
 */
export const EventEntity = defineEntity({
  name: "Event",
  tableName: "event",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid().primary(),
    externalId: p.text().nullable(),
    type: p.text(),
    /** The data as JSON text, as the publisher wrote it. */
    dataJson: p.text(),
    source: p.text().nullable(),
    subject: p.text().nullable(),
    projectId: p.text().nullable(),
    orderingKey: p.text().nullable(),
    traceparent: p.text().nullable(),
    /** The delivery that this event sends once more, to its webhook alone. */
    replayOf: p.uuid().nullable(),
    audience: p.text().$type<EventAudience>().default("SUBSCRIBERS"),
    occurredAt: p.datetime(),
    receivedAt: p.datetime().primary(),
  },
});

export type Event = InferEntity<typeof EventEntity>;
