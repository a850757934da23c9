import { defineEntity, type InferEntity, p } from "@mikro-orm/core";

/** How deliveries of a webhook have gone lately. Made with the webhook, and written now and then, not with every delivery. */
export const WebhookHealthEntity = defineEntity({
  name: "WebhookHealth",
  tableName: "webhook_health",
  properties: {
    webhookId: p.uuid().primary(),
    lastSuccessAt: p.datetime().nullable(),
    lastFailureAt: p.datetime().nullable(),
    consecutiveFailures: p.integer(),
    lastError: p.text(),
    totalAttempts: p.bigint("number"),
    failedAttempts: p.bigint("number"),
    /** Deliveries that were given up since the last one that arrived. */
    consecutiveExhausted: p.integer(),
    /** Deliveries given up before this time do not count for disabling the webhook; null: all since it was last active. */
    exhaustedSince: p.datetime().nullable(),
    /** The first failed attempt since the last one that succeeded, or since the webhook was last switched on; null: the last one succeeded. */
    failingSince: p.datetime().nullable(),
  },
});

export type WebhookHealth = InferEntity<typeof WebhookHealthEntity>;

/** The row of a webhook that was never called: write it with the webhook, so that what is to be written of it later only has to be added. */
export function newWebhookHealth(webhookId: string): WebhookHealth {
  return {
    webhookId,
    lastSuccessAt: null,
    lastFailureAt: null,
    consecutiveFailures: 0,
    lastError: "",
    totalAttempts: 0,
    failedAttempts: 0,
    consecutiveExhausted: 0,
    exhaustedSince: null,
    failingSince: null,
  };
}
