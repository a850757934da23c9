import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import type { Principal } from "./access.ts";
import { aboutWebhook, auditedWebhook } from "./audited-states.ts";
import type { ChangeParts } from "./changes.ts";
import { findWebhook, type WebhookRecord, type WebhookTarget, webhookRecord } from "./webhook-record.ts";

/**
 * Pauses an ACTIVE webhook: its deliveries wait until it is resumed. `reason` becomes its status reason. A webhook that is PAUSED already
 * stays so; any other one throws WEBHOOK_NOT_ACTIVE.
 */
export type PauseWebhook = (principal: Principal, target: WebhookTarget & { reason: string }) => Promise<WebhookRecord>;

export function createPauseWebhook({ transact, audit, now }: ChangeParts): PauseWebhook {
  return (principal, { reason, ...target }) =>
    transact(async (em, marks) => {
      const webhook = await findWebhook(em, principal, target, { lock: true });
      const before = webhook.status;
      if (before !== "ACTIVE" && before !== "PAUSED") throw notPausable(webhook);
      if (before === "ACTIVE" || (reason !== "" && reason !== webhook.statusReason)) {
        const was = auditedWebhook(webhook);
        webhook.status = "PAUSED";
        webhook.statusReason = reason === "" ? "it was paused by request" : reason;
        webhook.updatedAt = new Date(now());
        await em.flush();
        const change = { action: "webhook.pause", before: was, after: auditedWebhook(webhook) } as const;
        await audit.record(em, principal, { ...aboutWebhook(webhook), ...change });
        marks.webhookChanged(webhook.organizationId);
      }
      return await webhookRecord(em, webhook);
    });
}

function notPausable({ id, status }: Webhook): TellwireError {
  const fix = status === "UNVERIFIED" ? "it gets no events before it is verified" : "it gets no events already";
  return new TellwireError(
    "WEBHOOK_NOT_ACTIVE",
    `only an ACTIVE webhook can be paused; this one is ${status}: ${fix}`,
    {
      metadata: { webhook_id: publicId("webhook", id), status },
    },
  );
}
