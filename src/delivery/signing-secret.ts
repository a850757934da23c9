import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { SigningKey } from "../domain/signing-key.ts";

/**
 * A webhook's secret as it is kept in memory: sealed until it is first needed, because most of many webhooks are seldom called, and one that
 * cannot be opened concerns no other.
 */
export interface SigningSecret {
  /** When it stops signing, in milliseconds since the epoch; null: never. */
  expiresAt: number | null;
  state: Sealed | SigningKey | Unusable;
}

/** The keys to sign with, newest first, or why there are none: then no request can be made. */
export type SigningKeys = { kind: "keys"; keys: readonly SigningKey[] } | Unusable;

export interface Unusable {
  kind: "unusable";
  /** What is wrong and how to mend it, for the webhook's owner. */
  problem: string;
}

/** In base64, as the database gives it. */
type Sealed = string;

/** Takes secrets as they are loaded (`SubscriptionRow.secrets`). */
export function sealedSecrets(text: string | null): SigningSecret[] {
  return text === null ? [] : text.split(",").map(sealedSecret);
}

function sealedSecret(text: string): SigningSecret {
  const end = text.indexOf(" ");
  return end === -1
    ? { expiresAt: null, state: text }
    : { expiresAt: Number(text.slice(end)), state: text.slice(0, end) };
}

/** Whose secrets they are. */
export interface SecretsOwner {
  secrets: readonly SigningSecret[];
  secretBox: SecretBox;
  webhookId: string;
  format: WebhookFormat;
}

/**
 * The keys that sign at the time, in milliseconds since the epoch. What is opened stays open. A secret that was replaced and cannot be opened is left
 * out: rotating is how a webhook is mended whose secret cannot be.
 */
export function openSecrets(owner: SecretsOwner, now: number): SigningKeys {
  const keys: SigningKey[] = [];
  let unusable: Unusable | undefined;
  for (const secret of owner.secrets) {
    if (secret.expiresAt !== null && secret.expiresAt <= now) {
      continue;
    }
    if (typeof secret.state === "string") {
      secret.state = open(secret.state, owner);
    }
    if (!("kind" in secret.state)) {
      keys.push(secret.state);
    } else if (secret.expiresAt === null) {
      return secret.state;
    } else {
      unusable = secret.state;
    }
  }
  return keys.length === 0 && unusable !== undefined ? unusable : { kind: "keys", keys };
}

function open(sealed: Sealed, { secretBox, webhookId, format }: SecretsOwner): SigningKey | Unusable {
  let text: string;
  try {
    text = secretBox.open(Buffer.from(sealed, "base64"), webhookId);
  } catch {
    return unusable("cannot be decrypted", "or let the operator check TELLWIRE_SECRETS_KEY");
  }
  const parsed = formatOf(format).parseSecret(text);
  return parsed.kind === "key" ? parsed.key : unusable(parsed.reason, "or change the webhook's format");
}

function unusable(what: string, otherwise: string): Unusable {
  return { kind: "unusable", problem: `the webhook's stored secret ${what}: rotate the secret, ${otherwise}` };
}
