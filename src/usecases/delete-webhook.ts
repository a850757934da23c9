import { cancelSomeWaiting } from "../store/sql/lanes.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { Principal } from "./access.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import { wakeLane } from "./webhook-activation.ts";
import { findWebhook, requireEtag, type WebhookTarget } from "./webhook-record.ts";

/**
 * Deletes a webhook with its secrets. What waits for it is cancelled; its deliveries stay readable. Throws WEBHOOK_NOT_FOUND, and
 * ETAG_MISMATCH where the caller names another state.
 */
export type DeleteWebhook = (principal: Principal, target: WebhookTarget & { etag: string }) => Promise<void>;

export function createDeleteWebhook({ transact, audit, now }: ChangeParts): DeleteWebhook {
  return async (principal, { etag, ...target }) => {
    await transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      requireEtag(webhook, etag);
      em.remove(webhook);
      await em.flush();
      const waiting = { webhookId: webhook.id, reason: "the webhook was deleted", now: now() };
      await cancelSomeWaiting(transactionSql(em), waiting);
      // Not removed: whoever works on it cancels what is left, and what is being scheduled at this moment.
      await wakeLane(em, webhook.id, marks);
      const change = { action: "webhook.delete", before: auditedWebhook(webhook), after: null } as const;
      await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
      marks.webhookChanged(webhook.organizationId);
    });
  };
}
