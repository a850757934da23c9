import type { SqlEntityManager } from "@mikro-orm/sql";
import { deliveryIdOf, newUuid, publicId } from "../domain/ids.ts";
import { collectsEvents } from "../domain/webhook.ts";
import { TellwireError } from "../errors.ts";
import { type Event, EventEntity } from "../store/entities/event.ts";
import { ScheduledDeliveryEntity } from "../store/entities/scheduled-delivery.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import { type Principal, projectOf } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutDelivery, aboutWebhook } from "./audited-states.ts";
import type { ChangeMarks, Transact } from "./changes.ts";
import { type DeliveryTarget, findDelivery } from "./delivery-record.ts";
import type { Dependencies } from "./dependencies.ts";
import { makeLaneDue } from "./make-lane-due.ts";
import { checkPayload } from "./new-event.ts";
import { requireOwnWebhook } from "./projects.ts";
import { payloadExpired } from "./retry-delivery.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

/** Sends an event to one webhook, past its event types and its projects. Nothing waits for the receiver: the delivery is scheduled for now. */
export interface SendToWebhook {
  /** Sends an event of the caller's. Throws WEBHOOK_NOT_ACTIVE where the webhook collects no events, INVALID_FIELDS naming `data`. */
  send(principal: Principal, message: DirectMessage): Promise<SentToWebhook>;
  /**
   * Sends the event of a delivery to its webhook once more, under a new event id, which receivers that drop duplicates do not know. Throws
   * DELIVERY_NOT_FOUND, WEBHOOK_NOT_FOUND where the webhook was deleted, WEBHOOK_NOT_ACTIVE, and PAYLOAD_EXPIRED.
   */
  replay(principal: Principal, original: DeliveryTarget): Promise<SentToWebhook>;
}

export interface DirectMessage extends WebhookTarget {
  eventType: string;
  /** JSON text. */
  dataJson: string;
}

/** What was scheduled; UUIDs. */
export interface SentToWebhook {
  eventId: string;
  deliveryId: string;
  scheduledAt: Date;
}

export function createSendToWebhook(
  { ids, maxPayloadBytes }: Dependencies,
  { transact, audit }: { transact: Transact; audit: AuditTrail },
): SendToWebhook {
  return {
    async send(principal, { eventType, dataJson, ...target }) {
      checkPayload(dataJson, { field: "data", maxPayloadBytes });
      return await transact(async (em, marks) => {
        const webhook = await findWebhook(em, principal, target, { lock: false });
        requireOwnWebhook(principal, webhook);
        const now = new Date(ids.now());
        const projectId = projectOf(principal) ?? null;
        const event = { ...blankEvent, projectId, type: eventType, dataJson, occurredAt: now };
        const sent = await schedule(em, marks, { webhook, event: { ...event, id: newUuid(ids) }, now });
        const change = { action: "webhook.send", before: null, after: { eventType, ...sentIds(sent) } } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        return sent;
      });
    },

    async replay(principal, original) {
      return await transact(async (em, marks) => {
        const found = await findDelivery(transactionSql(em), principal, original);
        const { id, webhookId, eventId, organizationId, createdAt } = found;
        const webhook = await findWebhook(em, principal, { id: webhookId, organizationId }, { lock: false });
        requireOwnWebhook(principal, webhook);
        const sent = await em.findOne(EventEntity, { id: eventId, organizationId, receivedAt: createdAt });
        if (sent === null) throw payloadExpired(eventId);
        const { type, dataJson, source, subject, projectId, orderingKey, traceparent, occurredAt } = sent;
        const event = { type, dataJson, source, subject, projectId, orderingKey, traceparent, occurredAt };
        const replay = { ...event, externalId: null, replayOf: id, audience: "WEBHOOK" as const, id: newUuid(ids) };
        const replayed = await schedule(em, marks, { webhook, event: replay, now: new Date(ids.now()) });
        const change = { action: "delivery.replay", before: null, after: sentIds(replayed) } as const;
        await audit.record(em, principal, { ...aboutDelivery(found), ...change });
        return replayed;
      });
    },
  };
}

type DirectEvent = Omit<Event, "organizationId" | "receivedAt">;

const blankEvent = {
  externalId: null,
  source: null,
  subject: null,
  orderingKey: null,
  traceparent: null,
  replayOf: null,
  audience: "WEBHOOK" as const,
};

/** Writes the event and its one delivery. The engine never sees the event on the broker, so no other webhook gets it. */
async function schedule(
  em: SqlEntityManager,
  marks: ChangeMarks,
  { webhook, event, now }: { webhook: Webhook; event: DirectEvent; now: Date },
): Promise<SentToWebhook> {
  if (!collectsEvents(webhook.status)) throw notCollecting(webhook);
  const { id: webhookId, organizationId } = webhook;
  const deliveryId = deliveryIdOf(event.id, now.getTime(), webhookId);
  await em.insert(EventEntity, { ...event, organizationId, receivedAt: now });
  await em.insert(ScheduledDeliveryEntity, {
    id: deliveryId,
    organizationId,
    webhookId,
    eventId: event.id,
    eventType: event.type,
    attemptCount: 0,
    nextAttemptAt: now,
    manualRetry: null,
    lastStatusCode: 0,
    createdAt: now,
    // It stands outside of the broker's order.
    orderingKey: null,
    sequence: null,
  });
  await makeLaneDue(em, webhookId, marks);
  return { eventId: event.id, deliveryId, scheduledAt: now };
}

/** What the audit log keeps of something that was sent: never its data. */
function sentIds({ eventId, deliveryId }: SentToWebhook) {
  return { eventId: publicId("event", eventId), deliveryId: publicId("delivery", deliveryId) };
}

function notCollecting({ id, status }: Webhook): TellwireError {
  const fix = status === "UNVERIFIED" ? "verify it first (VerifyWebhook)" : "resume it first (ResumeWebhook)";
  return new TellwireError("WEBHOOK_NOT_ACTIVE", `the webhook is ${status} and gets no events: ${fix}`, {
    metadata: { webhook_id: publicId("webhook", id), status },
  });
}
