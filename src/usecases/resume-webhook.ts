import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Principal } from "./access.ts";
import type { Transact } from "./changes.ts";
import { wakeLane } from "./webhook-activation.ts";
import { findWebhook, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

/**
 * Makes a PAUSED or DISABLED webhook ACTIVE again. What waited while it was paused starts now; a disabled one gets what arrives from now
 * on. An ACTIVE one stays so; an UNVERIFIED one throws WEBHOOK_UNVERIFIED.
 */
export type ResumeWebhook = (principal: Principal, target: WebhookTarget) => Promise<WebhookRecord>;

export function createResumeWebhook({ transact, now }: { transact: Transact; now: () => number }): ResumeWebhook {
  return (principal, target) =>
    transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      if (webhook.status === "UNVERIFIED") throw webhookUnverified(webhook.id, "resumed");
      if (webhook.status !== "ACTIVE") {
        const resumedAt = new Date(now());
        if (webhook.status === "DISABLED") webhook.activeSince = resumedAt;
        webhook.status = "ACTIVE";
        webhook.statusReason = "";
        webhook.updatedAt = resumedAt;
        await em.flush();
        await wakeLane(em, webhook.id, marks);
        marks.webhookChanged(webhook.organizationId);
      }
      return await webhookRecord(em, webhook);
    });
}

/** WEBHOOK_UNVERIFIED: what was asked for needs a receiver that agreed to be called. */
export function webhookUnverified(id: string, participle: string): TellwireError {
  const webhookId = publicId("webhook", id);
  return new TellwireError(
    "WEBHOOK_UNVERIFIED",
    `an UNVERIFIED webhook cannot be ${participle}: verify it first (VerifyWebhook), which its receiver has to answer`,
    { metadata: { webhook_id: webhookId } },
  );
}
