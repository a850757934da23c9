import type { KeyObject } from "node:crypto";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import { TellwireError } from "../errors.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";

/** The keys that sign for a webhook now, newest first. Throws SECRETS_KEY_MISMATCH where a secret cannot be opened. */
export async function signingKeysOf(
  em: SqlEntityManager,
  secretBox: SecretBox,
  { webhookId, format, now }: { webhookId: string; format: WebhookFormat; now: Date },
): Promise<KeyObject[]> {
  const rows = await em.find(
    WebhookSecretEntity,
    { webhookId, $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }] },
    { orderBy: { expiresAt: "desc nulls first" } },
  );
  return rows.map(({ sealed }) => {
    const parsed = formatOf(format).parseSecret(secretBox.open(sealed, webhookId));
    if (parsed.kind === "key") return parsed.key;
    throw new TellwireError("INTERNAL", `a stored signing secret ${parsed.reason}`);
  });
}
