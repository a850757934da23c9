import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { WebhookFormat } from "../../domain/formats/catalogue.ts";
import type { SigningAlgorithm } from "../../domain/signing-key.ts";
import type { Ordering, VerificationMethod, WebhookStatus } from "../../domain/webhook.ts";

/** A subscription. Its secrets and its health stand in tables of their own. */
export const WebhookEntity = defineEntity({
  name: "Webhook",
  tableName: "webhook",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    projectIds: p.array(),
    name: p.text().nullable(),
    description: p.text(),
    url: p.text(),
    eventTypes: p.array(),
    status: p.text().$type<WebhookStatus>(),
    statusReason: p.text(),
    format: p.text().$type<WebhookFormat>(),
    /** Of the newest secret. Those that were replaced and still sign may be of another. */
    signingAlgorithm: p.text().$type<SigningAlgorithm>().default("HMAC"),
    headers: p.json<Record<string, string>>(),
    /** Sent with each event in formats that have a place for it. */
    config: p.json<Record<string, unknown>>().nullable(),
    /** Milliseconds before the second, third, … attempt; null: the server's schedule. */
    retryDelaysMs: p.json<number[]>().nullable(),
    maxAttempts: p.integer().nullable(),
    timeoutMs: p.integer().nullable(),
    /** After how many exhausted deliveries in a row the webhook is disabled; null: never. */
    disableAfterExhausted: p.integer().nullable(),
    /** How many requests in the period at most; null, both of them: no limit. */
    rateLimitCount: p.integer().nullable(),
    rateLimitPeriodMs: p.integer().nullable(),
    ordering: p.text().$type<Ordering>().default("NONE"),
    verificationMethod: p.text().$type<VerificationMethod>(),
    verifiedAt: p.datetime().nullable(),
    /** When the verification that starts by itself is due; null: none is. */
    verificationDueAt: p.datetime().nullable(),
    /** Since when the webhook is meant to get events: what was received before is not for it. */
    activeSince: p.datetime().nullable(),
    version: p.integer().version(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
  },
});

export type Webhook = InferEntity<typeof WebhookEntity>;
