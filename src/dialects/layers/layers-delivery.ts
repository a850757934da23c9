import { z } from "zod";
import type { DeliveryStatus } from "../../domain/delivery.ts";
import { publicId } from "../../domain/ids.ts";
import type { DeliveryLogEntry } from "../../usecases/read-delivery-log.ts";

export const deliveryStatuses = ["pending", "delivering", "delivered", "failed", "abandoned"] as const;

type LayersDeliveryStatus = (typeof deliveryStatuses)[number];

const time = z.iso.datetime({ precision: 3 });

/** A delivery as answers show it. */
export const deliveryBody = z.object({
  id: z.guid(),
  endpointId: z.guid(),
  eventId: z.string().regex(/^evt_[0-9a-z]{26}$/),
  eventType: z.string(),
  status: z
    .enum(deliveryStatuses)
    .describe("A delivery whose request is under way is pending until its outcome is known."),
  attempts: z.int().min(0),
  nextRetryAt: time.nullable(),
  deliveredAt: time.nullable(),
  abandonedAt: time.nullable(),
  lastResponseStatus: z.int().nullable().describe("null: the receiver did not answer."),
  lastResponseAt: time.nullable(),
  lastErrorMessage: z.string().nullable(),
  createdAt: time,
});

export function deliveryOf({ delivery, lastAttempt }: DeliveryLogEntry): z.input<typeof deliveryBody> {
  const { status, completedAt, lastStatusCode } = delivery;
  const endedAt = completedAt?.toISOString() ?? null;
  const hasAnswered = lastStatusCode > 0;
  return {
    id: delivery.id,
    endpointId: delivery.webhookId,
    eventId: publicId("event", delivery.eventId),
    eventType: delivery.eventType,
    status: statusOf[status],
    attempts: delivery.attemptCount,
    nextRetryAt: delivery.nextAttemptAt?.toISOString() ?? null,
    deliveredAt: status === "DELIVERED" ? endedAt : null,
    abandonedAt: status === "CANCELLED" ? endedAt : null,
    lastResponseStatus: hasAnswered ? lastStatusCode : null,
    lastResponseAt: hasAnswered ? (lastAttempt?.endedAt.toISOString() ?? null) : null,
    // One that was given up without an attempt says why.
    lastErrorMessage: lastAttempt?.errorMessage || delivery.statusReason || null,
    createdAt: delivery.createdAt.toISOString(),
  };
}

const statusOf: Readonly<Record<DeliveryStatus, LayersDeliveryStatus>> = {
  SCHEDULED: "pending",
  DELIVERED: "delivered",
  EXHAUSTED: "failed",
  CANCELLED: "abandoned",
};

/** The statuses that are shown as this one: none as `delivering`, because a request under way is recorded when it is over. */
export function statusesShownAs(status: LayersDeliveryStatus): DeliveryStatus[] {
  return (Object.keys(statusOf) as DeliveryStatus[]).filter((native) => statusOf[native] === status);
}
