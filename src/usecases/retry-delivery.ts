import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { WebhookEntity } from "../store/entities/webhook.ts";
import { isEventKept } from "../store/sql/event-places.ts";
import { hastenScheduled, rescheduleFinished } from "../store/sql/move-deliveries.ts";
import type { Sql } from "../store/sql.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { Principal } from "./access.ts";
import { aboutDelivery, auditedDelivery } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import { type DeliveryRecord, type DeliveryTarget, findDelivery, findDeliveryToChange } from "./delivery-record.ts";
import { makeLaneDue } from "./make-lane-due.ts";
import { requireActive } from "./require-active.ts";
import { webhookNotFound } from "./webhook-record.ts";

/**
 * Makes an attempt due now. A scheduled delivery does not wait any longer, and its schedule goes on; only one that waits for an earlier one with its
 * ordering key goes on waiting. A finished one gets one attempt more, and goes as it comes. Throws WEBHOOK_NOT_FOUND where the webhook was deleted, WEBHOOK_NOT_ACTIVE, and PAYLOAD_EXPIRED where the event is no longer kept.
 */
export type RetryDelivery = (principal: Principal, target: DeliveryTarget) => Promise<DeliveryRecord>;

export function createRetryDelivery({ transact, audit, now }: ChangeParts): RetryDelivery {
  return (principal, target) =>
    transact(async (em, marks) => {
      const sql = transactionSql(em);
      const delivery = await findDeliveryToChange(em, principal, target);
      await requireActiveWebhook(em, delivery);
      await requirePayload(sql, delivery);
      const { id, status } = delivery;
      const retry = status === "SCHEDULED" ? hastenScheduled : rescheduleFinished;
      await retry(sql, { id, now: now() });
      await makeLaneDue(em, delivery.webhookId, marks);
      const retried = await findDelivery(sql, principal, target);
      const states = { before: auditedDelivery(delivery), after: auditedDelivery(retried) };
      await audit.record(em, principal, { ...aboutDelivery(delivery), action: "delivery.retry", ...states });
      return retried;
    });
}

async function requireActiveWebhook(em: SqlEntityManager, { webhookId }: DeliveryRecord): Promise<void> {
  const webhook = await em.findOne(WebhookEntity, { id: webhookId });
  if (webhook === null) throw webhookNotFound(webhookId);
  requireActive(webhook, "the delivery's webhook");
}

async function requirePayload(sql: Sql, delivery: DeliveryRecord): Promise<void> {
  if (!(await isEventKept(sql, delivery))) throw payloadExpired(delivery.eventId);
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
