import { formatOf } from "../domain/formats/catalogue.ts";
import { newUuid } from "../domain/ids.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";
import type { Principal } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook, secondsText, timeText } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import type { Dependencies } from "./dependencies.ts";
import { checkSigningSecret } from "./webhook-fields.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

export interface SecretRotation extends WebhookTarget {
  /** How long the old secret still signs beside the new one. 0: nothing but the new secret signs from now on. */
  overlapMs: number;
  /** Empty: one is made. */
  signingSecret: string;
}

/** Replaces the signing secret. The answer is the only one with the new secret. Of replaced secrets the newest three go on signing at most. */
export type RotateSecret = (principal: Principal, rotation: SecretRotation) => Promise<RotatedSecret>;

export interface RotatedSecret {
  signingSecret: string;
  /** null: no old secret signs any more. */
  previousExpiresAt: Date | null;
}

/** Where a rotation does not say how long its overlap is. */
export const defaultOverlapMs = 24 * 60 * 60 * 1000;

export function createRotateSecret(
  { secretBox, ids }: Dependencies,
  { transact, audit }: { transact: Transact; audit: AuditTrail },
): RotateSecret {
  return async (principal, { overlapMs, signingSecret: given, ...target }) => {
    return await transact(async (em, marks) => {
      // The lock makes two rotations of one webhook follow each other.
      const webhook = await findWebhook(em, principal, target, { lock: true });
      if (given !== "") checkSigningSecret(webhook.format, given, "signing_secret");
      const signingSecret = given === "" ? formatOf(webhook.format).generateSecret(ids.randomBytes) : given;
      const now = new Date(ids.now());
      const end = new Date(now.getTime() + overlapMs);
      const replaced = await em.find(
        WebhookSecretEntity,
        { webhookId: webhook.id },
        { orderBy: { expiresAt: "desc nulls first" } },
      );
      replaced.forEach((secret, index) => {
        const expiresAt = secret.expiresAt ?? end;
        if (overlapMs <= 0 || expiresAt <= now || index >= maxReplaced) em.remove(secret);
        else secret.expiresAt = expiresAt;
      });
      em.create(WebhookSecretEntity, {
        id: newUuid(ids),
        webhookId: webhook.id,
        sealed: secretBox.seal(signingSecret, webhook.id),
        createdAt: now,
        expiresAt: null,
      });
      webhook.updatedAt = now;
      marks.webhookChanged(webhook.organizationId);
      await em.flush();
      const previousExpiresAt = overlapMs <= 0 ? null : end;
      await audit.record(em, principal, {
        ...aboutWebhook(webhook),
        action: "webhook.rotate_secret",
        before: null,
        after: {
          isGenerated: given === "",
          overlap: secondsText(overlapMs),
          previousSecretExpireTime: timeText(previousExpiresAt),
        },
      });
      return { signingSecret, previousExpiresAt };
    });
  };
}

const maxReplaced = 3;
