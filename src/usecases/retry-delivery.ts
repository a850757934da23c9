import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { EventEntity } from "../store/entities/event.ts";
import { WebhookEntity } from "../store/entities/webhook.ts";
import type { Principal } from "./access.ts";
import type { Transact } from "./changes.ts";
import { type DeliveryRecord, type DeliveryTarget, findDelivery } from "./delivery-record.ts";
import { makeLaneDue } from "./make-lane-due.ts";
import { webhookNotFound } from "./webhook-record.ts";

/**
 * Makes an attempt due now. A scheduled delivery does not wait any longer, and its schedule goes on; a finished one gets one attempt more.
 * Throws WEBHOOK_NOT_FOUND where the webhook was deleted, WEBHOOK_NOT_ACTIVE, and PAYLOAD_EXPIRED where the event is no longer kept.
 */
export type RetryDelivery = (principal: Principal, target: DeliveryTarget) => Promise<DeliveryRecord>;

export function createRetryDelivery({ transact, now }: { transact: Transact; now: () => number }): RetryDelivery {
  return (principal, target) =>
    transact(async (em, marks) => {
      const delivery = await findDelivery(em, principal, target, { lock: true });
      await requireActiveWebhook(em, delivery);
      await requirePayload(em, delivery);
      const isScheduled = delivery.status === "SCHEDULED";
      // One that was to be sent once more still is, and nothing beyond that.
      const manualRetry = isScheduled && delivery.manualRetry !== "ONCE" ? "NOW" : "ONCE";
      Object.assign(delivery, {
        status: "SCHEDULED",
        statusReason: "",
        nextAttemptAt: new Date(now()),
        manualRetry,
        completedAt: null,
      });
      await em.flush();
      await makeLaneDue(em, delivery.webhookId, marks);
      return delivery;
    });
}

async function requireActiveWebhook(em: SqlEntityManager, { webhookId }: DeliveryRecord): Promise<void> {
  const webhook = await em.findOne(WebhookEntity, { id: webhookId });
  if (webhook === null) throw webhookNotFound(webhookId);
  const { status } = webhook;
  if (status === "ACTIVE") return;
  const fix = status === "UNVERIFIED" ? "verify it first (VerifyWebhook)" : "resume it first (ResumeWebhook)";
  throw new TellwireError("WEBHOOK_NOT_ACTIVE", `the delivery's webhook is ${status}: ${fix}`, {
    metadata: { webhook_id: publicId("webhook", webhookId), status },
  });
}

async function requirePayload(em: SqlEntityManager, { eventId, organizationId }: DeliveryRecord): Promise<void> {
  if ((await em.count(EventEntity, { id: eventId, organizationId })) === 0) throw payloadExpired(eventId);
}

/** PAYLOAD_EXPIRED for an event's UUID. */
export function payloadExpired(eventId: string): TellwireError {
  const id = publicId("event", eventId);
  return new TellwireError(
    "PAYLOAD_EXPIRED",
    `the event ${id} is no longer kept, so it cannot be sent again: publish it again instead`,
    { metadata: { event_id: id } },
  );
}
