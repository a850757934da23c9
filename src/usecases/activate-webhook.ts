import { formatOf } from "../domain/formats/catalogue.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import type { Principal } from "./access.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import {
  type Activation,
  type ClearWaiting,
  dropWaiting,
  initialActivation,
  resetExhausted,
  wakeLane,
} from "./webhook-activation.ts";
import { findWebhook, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

/**
 * Switches a webhook on again, as the systems that the dialects speak for do it: where its format asks for verification, it becomes
 * UNVERIFIED and its verification starts now; where verification is optional and nothing is left to prove, it is ACTIVE at once, and counts
 * the deliveries that are given up from zero. An ACTIVE one stays as it is. Throws WEBHOOK_NOT_FOUND.
 */
export type ActivateWebhook = (principal: Principal, target: WebhookTarget) => Promise<WebhookRecord>;

export function createActivateWebhook({
  transact,
  audit,
  now,
  clearWaiting,
  wakeVerification,
}: ActivateWebhookParts): ActivateWebhook {
  return async (principal, target) => {
    await clearWaiting(principal, target);
    const record = await transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      if (webhook.status !== "ACTIVE") {
        const activatedAt = new Date(now());
        const was = auditedWebhook(webhook);
        if (webhook.status === "DISABLED") await dropWaiting(em, webhook.id, activatedAt);
        const activation = activationOf(webhook, activatedAt);
        Object.assign(webhook, activation, { updatedAt: activatedAt });
        await em.flush();
        const change = { action: "webhook.activate", before: was, after: auditedWebhook(webhook) } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        if (activation.status === "ACTIVE") {
          await resetExhausted(em, webhook.id, activatedAt);
          await wakeLane(em, webhook.id, marks);
        }
        marks.webhookChanged(webhook.organizationId);
      }
      return await webhookRecord(em, webhook);
    });
    if (record.webhook.verificationDueAt) wakeVerification();
    return record;
  };
}

export interface ActivateWebhookParts extends ChangeParts {
  clearWaiting: ClearWaiting;
  /** Starts what is due at once, instead of at the next look. */
  wakeVerification: () => void;
}

function activationOf(webhook: Webhook, now: Date): Partial<Activation> {
  const method = webhook.verificationMethod;
  const isProved = formatOf(webhook.format).verification.optional && webhook.verifiedAt !== null;
  if (method !== "VOUCHED" && method !== "NONE" && !isProved) return initialActivation(method, now);
  // What waited while it was paused is still for it; a disabled one gets what arrives from now on.
  const activeSince = webhook.status === "PAUSED" ? (webhook.activeSince ?? now) : now;
  return { status: "ACTIVE", statusReason: "", verificationDueAt: null, activeSince };
}
