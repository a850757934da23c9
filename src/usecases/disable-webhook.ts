import type { Principal } from "./access.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import { dropFirstWaiting, wakeLane } from "./webhook-activation.ts";
import { findWebhook, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

/**
 * Switches a webhook off, whatever its status is: it gets no events, and everything that waits for it is cancelled. `reason` becomes its
 * status reason; one that is DISABLED already takes the new reason, where it is given. Throws WEBHOOK_NOT_FOUND.
 */
export type DisableWebhook = (
  principal: Principal,
  target: WebhookTarget & { reason: string },
) => Promise<WebhookRecord>;

export function createDisableWebhook({ transact, audit, now }: ChangeParts): DisableWebhook {
  return (principal, { reason, ...target }) =>
    transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      const wasDisabled = webhook.status === "DISABLED";
      if (!wasDisabled || (reason !== "" && reason !== webhook.statusReason)) {
        const was = auditedWebhook(webhook);
        webhook.status = "DISABLED";
        webhook.statusReason = reason === "" ? "it was switched off by request" : reason;
        webhook.verificationDueAt = null;
        webhook.updatedAt = new Date(now());
        await em.flush();
        const change = { action: "webhook.disable", before: was, after: auditedWebhook(webhook) } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        marks.webhookChanged(webhook.organizationId);
      }
      if (!wasDisabled) {
        await dropFirstWaiting(em, webhook.id, new Date(now()));
        // Whoever works on the lane looks again, and cancels the others, and what is handed over to it from now on.
        await wakeLane(em, webhook.id, marks);
      }
      return await webhookRecord(em, webhook);
    });
}
