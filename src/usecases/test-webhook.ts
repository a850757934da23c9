import { deliveryIdOf, newUuid, publicId } from "../domain/ids.ts";
import { outgoingEvent } from "../domain/outgoing-event.ts";
import { type AttemptOutcome, attempt } from "../outbound/attempt.ts";
import { type Attempt, AttemptEntity } from "../store/entities/attempt.ts";
import { DeliveryEntity } from "../store/entities/delivery.ts";
import { EventEntity } from "../store/entities/event.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import { type Principal, projectOf } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook } from "./audited-states.ts";
import type { Dependencies } from "./dependencies.ts";
import { checkPayload } from "./new-event.ts";
import { requireOwnWebhook } from "./projects.ts";
import { owesProof, webhookUnverified } from "./resume-webhook.ts";
import { signingKeysOf } from "./signing-keys.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

export interface WebhookTest extends WebhookTarget {
  /** Empty: `webhook.test`. */
  eventType: string;
  /** JSON text; undefined: a short message. */
  dataJson: string | undefined;
}

/** What a test came to. */
export interface TestedWebhook {
  success: boolean;
  deliveryId: string;
  eventId: string;
  attempt: Attempt;
}

/**
 * Sends a test event now, past the webhook's event types, and answers with what the receiver said. Event, delivery and attempt are recorded
 * like any others; a failed test is not tried again, and a 410 to it disables nothing. Throws WEBHOOK_UNVERIFIED: nobody is called who did
 * not agree to it.
 */
export type TestWebhook = (principal: Principal, test: WebhookTest) => Promise<TestedWebhook>;

export function createTestWebhook(dependencies: Dependencies, { audit }: { audit: AuditTrail }): TestWebhook {
  const { database, secretBox, httpClient, ids, requestOrigin, defaultTimeoutMs, maxPayloadBytes } = dependencies;

  return async (principal, { eventType, dataJson = greeting, ...target }) => {
    const em = database.em();
    const webhook = await findWebhook(em, principal, target, { lock: false });
    requireOwnWebhook(principal, webhook);
    if (owesProof(webhook)) throw webhookUnverified(webhook.id, "tested");
    checkPayload(dataJson, { field: "data", maxPayloadBytes });

    const now = new Date(ids.now());
    const type = eventType || "webhook.test";
    const event = testEvent(webhook, {
      id: newUuid(ids),
      type,
      dataJson,
      projectId: projectOf(principal) ?? null,
      now,
    });
    const outgoing = outgoingEvent(event);
    const deliveryId = deliveryIdOf(event.id, now.getTime(), webhook.id);
    const { format, url, headers, verificationMethod, config } = webhook;
    const outcome = await attempt(
      {
        webhookId: webhook.id,
        url,
        headers,
        format,
        payload: outgoing.payload(format, config ? JSON.stringify(config) : null),
        eventId: outgoing.publicId,
        eventType: event.type,
        deliveryId,
        signingKeys: await signingKeysOf(em, secretBox, { webhookId: webhook.id, format, now }),
        timeoutMs: webhook.timeoutMs ?? defaultTimeoutMs,
        requestOrigin: verificationMethod === "CLOUDEVENTS" ? requestOrigin : undefined,
      },
      { client: httpClient, now: ids.now },
    );

    const made = attemptRow(outcome, { id: newUuid(ids), deliveryId, url: webhook.url });
    await database.em().transactional(async (writing) => {
      await writing.insert(EventEntity, event);
      await writing.insert(DeliveryEntity, {
        id: deliveryId,
        organizationId: webhook.organizationId,
        webhookId: webhook.id,
        eventId: event.id,
        eventType: event.type,
        ...deliveryState(outcome),
        attemptCount: 1,
        lastStatusCode: outcome.statusCode,
        createdAt: now,
        completedAt: new Date(ids.now()),
      });
      await writing.insert(AttemptEntity, made);
      await audit.record(writing, principal, {
        ...aboutWebhook(webhook),
        action: "webhook.test",
        before: null,
        after: {
          eventType: event.type,
          eventId: publicId("event", event.id),
          deliveryId: publicId("delivery", deliveryId),
          success: outcome.verdict === "delivered",
        },
      });
    });
    return { success: outcome.verdict === "delivered", deliveryId, eventId: event.id, attempt: made };
  };
}

const greeting = '{"message":"This is a test event. Your webhook works."}';

function testEvent(webhook: Webhook, { id, type, dataJson, projectId, now }: TestEventInput) {
  return {
    id,
    organizationId: webhook.organizationId,
    externalId: null,
    type,
    dataJson,
    source: null,
    subject: null,
    projectId,
    orderingKey: null,
    traceparent: null,
    replayOf: null,
    audience: "TEST" as const,
    occurredAt: now,
    receivedAt: now,
  };
}

interface TestEventInput {
  id: string;
  type: string;
  dataJson: string;
  /** The project that the caller is kept to, so that it sees its event. */
  projectId: string | null;
  now: Date;
}

function deliveryState({ verdict, errorMessage }: AttemptOutcome) {
  return verdict === "delivered"
    ? ({ status: "DELIVERED", statusReason: "" } as const)
    : ({ status: "EXHAUSTED", statusReason: `a test is not tried again: ${errorMessage}` } as const);
}

function attemptRow(outcome: AttemptOutcome, row: { id: string; deliveryId: string; url: string }): Attempt {
  const { latencyMs, statusCode, error, errorMessage, responseBody } = outcome;
  const startedAt = new Date(outcome.startedAt);
  return { ...row, number: 1, trigger: "TEST", startedAt, latencyMs, statusCode, error, errorMessage, responseBody };
}
