import type { SqlEntityManager } from "@mikro-orm/sql";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import { isKeyMismatch, type SecretBox } from "../domain/secret-box.ts";
import type { SigningKey } from "../domain/signing-key.ts";
import { TellwireError } from "../errors.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";

/**
 * The keys that sign for a webhook now, newest first. A secret that was replaced and cannot be opened is left out. Throws SECRETS_KEY_MISMATCH
 * where the one that replaced it cannot.
 */
export async function signingKeysOf(
  em: SqlEntityManager,
  secretBox: SecretBox,
  { webhookId, format, now }: { webhookId: string; format: WebhookFormat; now: Date },
): Promise<SigningKey[]> {
  const rows = await em.find(WebhookSecretEntity, secretsThatSign(webhookId, now), { orderBy: newestFirst });
  return rows.flatMap(({ sealed, expiresAt }) => {
    try {
      const parsed = formatOf(format).parseSecret(secretBox.open(sealed, webhookId));
      if (parsed.kind === "key") return parsed.key;
      throw new TellwireError("INTERNAL", `a stored signing secret ${parsed.reason}`);
    } catch (error) {
      if (expiresAt && isKeyMismatch(error)) return [];
      throw error;
    }
  });
}

/** The condition on a webhook's secrets: those that sign at the time. */
export function secretsThatSign(webhookId: string, now: Date) {
  return { webhookId, $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }] };
}

/** The order in which secrets were made, backwards: that of signatures. */
export const newestFirst = { createdAt: "desc", id: "desc" } as const;
