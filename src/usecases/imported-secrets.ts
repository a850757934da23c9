import { isDeepStrictEqual } from "node:util";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { type IdSource, newUuid } from "../domain/ids.ts";
import { isKeyMismatch, type SecretBox } from "../domain/secret-box.ts";
import { WebhookSecretEntity } from "../store/entities/webhook-secret.ts";
import type { ImportedWebhook } from "./imported-webhook.ts";
import { secretsThatSign } from "./signing-keys.ts";
import { givenSigningSecret } from "./signing-secret-fields.ts";

export interface SecretContext {
  secretBox: SecretBox;
  ids: IdSource;
  now: Date;
}

/** Whether the secrets that sign for a webhook now, and until when each does, are those of its import. Those that no key opens are not. */
export async function hasSecrets(
  em: SqlEntityManager,
  imported: ImportedWebhook,
  { secretBox, now }: SecretContext,
): Promise<boolean> {
  const where = secretsThatSign(imported.id, now);
  // Of those that end together the order of the import is that of their making, backwards.
  const orderBy = { expiresAt: "desc nulls first", createdAt: "desc" } as const;
  const rows = await em.find(WebhookSecretEntity, where, { orderBy });
  try {
    const here = rows.map(({ sealed, expiresAt }) => ({
      signingSecret: secretBox.open(sealed, imported.id),
      expiresAt: expiresAt ?? null,
    }));
    return isDeepStrictEqual(here, secretsOf(imported, now));
  } catch (error) {
    if (isKeyMismatch(error)) return false;
    throw error;
  }
}

/** Writes the secrets of an import, those left out that have expired. Written with the next flush. */
export function writeSecrets(
  em: SqlEntityManager,
  imported: ImportedWebhook,
  { secretBox, ids, now }: SecretContext,
): void {
  secretsOf(imported, now).forEach(({ signingSecret, expiresAt }, index) => {
    em.create(WebhookSecretEntity, {
      id: newUuid(ids),
      webhookId: imported.id,
      sealed: secretBox.seal(signingSecret, imported.id),
      publicKey: givenSigningSecret(imported.format, signingSecret).publicKey,
      // Signatures stand in the order in which the secrets were made.
      createdAt: new Date(now.getTime() - index),
      expiresAt,
    });
  });
}

/** The current one first, then those that sign longest. */
function secretsOf({ signingSecret, previousSecrets }: ImportedWebhook, now: Date) {
  const previous = previousSecrets
    .filter(({ expiresAt }) => expiresAt > now)
    .sort((one, other) => other.expiresAt.getTime() - one.expiresAt.getTime());
  return [{ signingSecret, expiresAt: null }, ...previous];
}
