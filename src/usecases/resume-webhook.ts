import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import type { Principal } from "./access.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import { type ClearWaiting, dropWaiting, resetExhausted, resetFailing, wakeLane } from "./webhook-activation.ts";
import { findWebhook, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

/**
 * Makes a PAUSED or DISABLED webhook ACTIVE again. What waited while it was paused starts now; a disabled one gets what arrives from now
 * on. An ACTIVE one stays so; one whose receiver still owes its proof throws WEBHOOK_UNVERIFIED.
 */
export type ResumeWebhook = (principal: Principal, target: WebhookTarget) => Promise<WebhookRecord>;

export function createResumeWebhook({ transact, audit, now, clearWaiting }: ResumeWebhookParts): ResumeWebhook {
  return async (principal, target) => {
    await clearWaiting(principal, target);
    return await transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      if (owesProof(webhook)) throw webhookUnverified(webhook.id, "resumed");
      if (webhook.status !== "ACTIVE") {
        const resumedAt = new Date(now());
        const was = auditedWebhook(webhook);
        if (webhook.status === "DISABLED") {
          webhook.activeSince = resumedAt;
          await dropWaiting(em, webhook.id, resumedAt);
          await resetExhausted(em, webhook.id, resumedAt);
        } else {
          await resetFailing(em, webhook.id);
        }
        webhook.status = "ACTIVE";
        webhook.statusReason = "";
        webhook.updatedAt = resumedAt;
        await em.flush();
        const change = { action: "webhook.resume", before: was, after: auditedWebhook(webhook) } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        await wakeLane(em, webhook.id, marks);
        marks.webhookChanged(webhook.organizationId);
      }
      return await webhookRecord(em, webhook);
    });
  };
}

export interface ResumeWebhookParts extends ChangeParts {
  clearWaiting: ClearWaiting;
}

/**
 * Whether a receiver has yet to prove that it wants to be called. A verification that failed leaves webhooks of some formats DISABLED: that is
 * no way around it.
 */
export function owesProof({ status, verificationMethod: method, verifiedAt }: Webhook): boolean {
  const isAsked = method === "CHALLENGE" || method === "CLOUDEVENTS";
  return status === "UNVERIFIED" || (status === "DISABLED" && isAsked && !verifiedAt);
}

/** WEBHOOK_UNVERIFIED: what was asked for needs a receiver that agreed to be called. */
export function webhookUnverified(id: string, participle: string): TellwireError {
  const webhookId = publicId("webhook", id);
  return new TellwireError(
    "WEBHOOK_UNVERIFIED",
    `an unverified webhook cannot be ${participle}: verify it first (VerifyWebhook), which its receiver has to answer`,
    { metadata: { webhook_id: webhookId } },
  );
}
