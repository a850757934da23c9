import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { WebhookFormat } from "../../domain/formats/format.ts";
import type { VerificationMethod, WebhookStatus } from "../../domain/webhook.ts";

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
    headers: p.json<Record<string, string>>(),
    /** Milliseconds before the second, third, … attempt; null: the server's schedule. */
    retryDelaysMs: p.json<number[]>().nullable(),
    maxAttempts: p.integer().nullable(),
    timeoutMs: p.integer().nullable(),
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
