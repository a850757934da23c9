import { newUuid } from "../domain/ids.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";
import type { Principal } from "./access.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { aboutWebhook, secondsText, timeText } from "./audited-states.ts";
import type { Transact } from "./changes.ts";
import type { Dependencies } from "./dependencies.ts";
import { newestFirst } from "./signing-keys.ts";
import {
  checkSigningSecret,
  newSigningSecret,
  type ShownSecret,
  shownSecret,
  type WantedSigningSecret,
} from "./signing-secret-fields.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

/** An algorithm that is left out is that of the given secret, and where none is given, the one that the webhook has. */
export interface SecretRotation extends WebhookTarget, WantedSigningSecret {
  /** How long the old secret still signs beside the new one. 0: nothing but the new secret signs from now on. */
  overlapMs: number;
}

/**
 * Replaces the signing secret, by one of another algorithm where that is asked for. The answer is the only one with the new secret. Of replaced
 * secrets the newest three go on signing at most, each until the time that was told when it was replaced; without an overlap none of them does.
 */
export type RotateSecret = (principal: Principal, rotation: SecretRotation) => Promise<RotatedSecret>;

export interface RotatedSecret extends ShownSecret {
  /** null: no old secret signs any more. */
  previousExpiresAt: Date | null;
}

/** Where a rotation does not say how long its overlap is. */
export const defaultOverlapMs = 24 * 60 * 60 * 1000;

export function createRotateSecret(
  { secretBox, ids }: Dependencies,
  { transact, audit }: { transact: Transact; audit: AuditTrail },
): RotateSecret {
  return async (principal, { overlapMs, signingSecret, signingAlgorithm, ...target }) => {
    return await transact(async (em, marks) => {
      // The lock makes two rotations of one webhook follow each other.
      const webhook = await findWebhook(em, principal, target, { lock: true });
      const presentAlgorithm = signingSecret === "" ? webhook.signingAlgorithm : undefined;
      const wanted = { signingSecret, signingAlgorithm: signingAlgorithm ?? presentAlgorithm };
      checkSigningSecret(webhook.format, wanted);
      const secret = newSigningSecret(webhook.format, wanted, ids.randomBytes);
      const now = new Date(ids.now());
      const end = new Date(now.getTime() + overlapMs);
      const present = await em.find(WebhookSecretEntity, { webhookId: webhook.id }, { orderBy: newestFirst });
      const signing = present.filter(({ expiresAt }) => overlapMs > 0 && (!expiresAt || expiresAt > now));
      const kept = new Set(signing.slice(0, maxReplaced));
      for (const secret of present) {
        if (kept.has(secret)) secret.expiresAt ??= end;
        else em.remove(secret);
      }
      em.create(WebhookSecretEntity, {
        id: newUuid(ids),
        webhookId: webhook.id,
        sealed: secretBox.seal(secret.text, webhook.id),
        publicKey: secret.publicKey,
        createdAt: now,
        expiresAt: null,
      });
      webhook.signingAlgorithm = secret.algorithm;
      webhook.updatedAt = now;
      marks.webhookChanged(webhook.organizationId);
      await em.flush();
      const previousExpiresAt = overlapMs <= 0 ? null : end;
      await audit.record(em, principal, {
        ...aboutWebhook(webhook),
        action: "webhook.rotate_secret",
        before: null,
        after: {
          isGenerated: signingSecret === "",
          signingAlgorithm: secret.algorithm,
          overlap: secondsText(overlapMs),
          previousSecretExpireTime: timeText(previousExpiresAt),
        },
      });
      return { ...shownSecret(secret), previousExpiresAt };
    });
  };
}

const maxReplaced = 3;
