import { formatOf } from "../domain/formats/catalogue.ts";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";
import type { Principal } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook } from "./audited-states.ts";
import type { Dependencies } from "./dependencies.ts";
import { isOwnWebhook } from "./projects.ts";
import { newestFirst } from "./signing-keys.ts";
import { findWebhook, type WebhookTarget, webhookNotFound } from "./webhook-record.ts";

/**
 * The secret that a webhook signs with now, for callers of systems that show it again. Undefined for a caller who could not replace it: it
 * needs the scope secrets:rotate, and a webhook that it may change. Throws WEBHOOK_NOT_FOUND, and SECRET_NOT_SHOWN for webhooks of every
 * other format: their secrets are shown once.
 */
export type ReadSecret = (principal: Principal, target: WebhookTarget) => Promise<string | undefined>;

export function createReadSecret({ database, secretBox }: Dependencies, { audit }: { audit: AuditTrail }): ReadSecret {
  return async (principal, target) => {
    const em = database.em();
    const webhook = await findWebhook(em, principal, target, { lock: false });
    const { id, format } = webhook;
    if (!formatOf(format).showsSecret) {
      const message = `the secret of a ${format} webhook is shown only when it is made: rotate it to get a new one`;
      throw new TellwireError("SECRET_NOT_SHOWN", message, { metadata: { webhook_id: publicId("webhook", id) } });
    }
    if (!principal.scopes.has("secrets:rotate") || !isOwnWebhook(principal, webhook)) return undefined;
    const current = { webhookId: id, expiresAt: null };
    const secret = await em.findOne(WebhookSecretEntity, current, { orderBy: newestFirst });
    // It goes with its webhook: somebody has deleted it in between.
    if (secret === null) throw webhookNotFound(id);
    const text = secretBox.open(secret.sealed, id);
    // Whoever has read a secret can sign in our name: that is on record before it is shown.
    await em.transactional(async (writing) => {
      const read = { action: "webhook.read_secret", before: null, after: null } as const;
      await audit.record(writing, principal, { ...aboutWebhook(webhook), ...read });
    });
    return text;
  };
}
