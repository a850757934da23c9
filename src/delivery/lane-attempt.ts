import { outgoingEvent } from "../domain/outgoing-event.ts";
import type { DueDelivery } from "../store/sql/lanes.ts";
import type { MakeAttempt } from "./make-attempt.ts";
import type { Outcome } from "./recorder.ts";
import type { Subscription } from "./subscription.ts";

/** Attempts a delivery of a lane. Where its event is past its retention there is nothing left to send, and no request is made. */
export async function attemptDue(
  { makeAttempt, now }: { makeAttempt: MakeAttempt; now: () => number },
  due: DueDelivery,
  subscription: Subscription,
): Promise<Outcome> {
  const { dataJson, occurredAt, ...rest } = due;
  if (dataJson === null || occurredAt === null) {
    return payloadGone(due, subscription, now());
  }
  return await makeAttempt({
    deliveryId: due.id,
    event: outgoingEvent({
      ...rest,
      id: due.eventId,
      type: due.eventType,
      dataJson,
      occurredAt: new Date(occurredAt),
    }),
    subscription,
    attemptCount: due.attemptCount,
    manualRetry: due.manualRetry,
    createdAt: due.createdAt,
    sequence: due.sequence,
    orderingKey: due.orderingKey,
  });
}

/** The count goes up by one, so that the record replaces the scheduled one. */
function payloadGone(due: DueDelivery, { webhookId }: Subscription, now: number): Outcome {
  return {
    delivery: {
      id: due.id,
      organizationId: due.organizationId,
      webhookId,
      eventId: due.eventId,
      eventType: due.eventType,
      status: "EXHAUSTED",
      statusReason: "the event is past its retention: its payload is gone",
      attemptCount: due.attemptCount + 1,
      nextAttemptAt: null,
      lastStatusCode: 0,
      createdAt: due.createdAt,
      completedAt: now,
      orderingKey: due.orderingKey,
      sequence: due.sequence,
    },
  };
}
