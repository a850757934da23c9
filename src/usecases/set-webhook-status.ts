import type { Principal } from "./access.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import { webhookUnverified } from "./resume-webhook.ts";
import { type ClearWaiting, dropWaiting, resetExhausted, wakeLane } from "./webhook-activation.ts";
import { findWebhook, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

/**
 * Makes a webhook ACTIVE or PAUSED, whatever it was before but UNVERIFIED: for callers to whom a status is a field that they write.
 * ACTIVE always counts the deliveries that are given up from zero again. Throws WEBHOOK_NOT_FOUND and WEBHOOK_UNVERIFIED.
 */
export type SetWebhookStatus = (
  principal: Principal,
  target: WebhookTarget & { status: WrittenStatus },
) => Promise<WebhookRecord>;

type WrittenStatus = "ACTIVE" | "PAUSED";

export function createSetWebhookStatus({
  transact,
  audit,
  now,
  clearWaiting,
}: SetWebhookStatusParts): SetWebhookStatus {
  return async (principal, { status, ...target }) => {
    await clearWaiting(principal, target);
    return await transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      const before = webhook.status;
      if (before === "UNVERIFIED") throw webhookUnverified(webhook.id, participles[status]);
      const changedAt = new Date(now());
      const was = auditedWebhook(webhook);
      if (before !== status) {
        Object.assign(webhook, { status, statusReason: reasons[status], updatedAt: changedAt });
        // What was received while it was disabled is not for it.
        if (before === "DISABLED") {
          webhook.activeSince = changedAt;
          await dropWaiting(em, webhook.id, changedAt);
        }
        await em.flush();
        marks.webhookChanged(webhook.organizationId);
      }
      if (status === "ACTIVE") {
        await resetExhausted(em, webhook.id, changedAt);
        await wakeLane(em, webhook.id, marks);
      }
      // Making an ACTIVE webhook ACTIVE sets its count of failures back, which is a change too.
      if (before !== status || status === "ACTIVE") {
        const change = { action: actions[status], before: was, after: auditedWebhook(webhook) } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
      }
      return await webhookRecord(em, webhook);
    });
  };
}

export interface SetWebhookStatusParts extends ChangeParts {
  clearWaiting: ClearWaiting;
}

const actions = { ACTIVE: "webhook.resume", PAUSED: "webhook.pause" } as const;
const participles: Readonly<Record<WrittenStatus, string>> = { ACTIVE: "resumed", PAUSED: "paused" };
const reasons: Readonly<Record<WrittenStatus, string>> = { ACTIVE: "", PAUSED: "it was paused by request" };
