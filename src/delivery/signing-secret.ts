import type { KeyObject } from "node:crypto";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import type { SecretBox } from "../domain/secret-box.ts";

/**
 * A webhook's secret as it is kept in memory: sealed until it is first needed, because most of many webhooks are seldom called, and one that
 * cannot be opened concerns no other.
 */
export interface SigningSecret {
  /** When it stops signing, in milliseconds since the epoch; null: never. */
  expiresAt: number | null;
  state: Sealed | KeyObject | Unusable;
}

/** The keys to sign with, newest first, or why there are none: then no request can be made. */
export type SigningKeys = { kind: "keys"; keys: readonly KeyObject[] } | Unusable;

export interface Unusable {
  kind: "unusable";
  /** What is wrong and how to mend it, for the webhook's owner. */
  problem: string;
}

/** The bytes as a text of one-byte characters, which takes less than half of a Buffer's memory. */
type Sealed = string;

export function sealedSecret(sealed: Uint8Array, expiresAt: number | null): SigningSecret {
  return { expiresAt, state: Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength).toString("latin1") };
}

export interface OpenOptions {
  secretBox: SecretBox;
  webhookId: string;
  format: WebhookFormat;
  /** Unix time in milliseconds. */
  now: number;
}

/**
 * The keys that sign at the time. What is opened stays open. A secret that was replaced and cannot be opened is left out: rotating is how a webhook is
 * mended whose secret cannot be.
 */
export function openSecrets(secrets: readonly SigningSecret[], options: OpenOptions): SigningKeys {
  const keys: KeyObject[] = [];
  let unusable: Unusable | undefined;
  for (const secret of secrets) {
    if (secret.expiresAt !== null && secret.expiresAt <= options.now) {
      continue;
    }
    if (typeof secret.state === "string") {
      secret.state = open(secret.state, options);
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

function open(sealed: Sealed, { secretBox, webhookId, format }: OpenOptions): KeyObject | Unusable {
  let text: string;
  try {
    text = secretBox.open(Buffer.from(sealed, "latin1"), webhookId);
  } catch {
    return unusable("cannot be decrypted", "or let the operator check TELLWIRE_SECRETS_KEY");
  }
  const parsed = formatOf(format).parseSecret(text);
  return parsed.kind === "key" ? parsed.key : unusable(parsed.reason, "or change the webhook's format");
}

function unusable(what: string, otherwise: string): Unusable {
  return { kind: "unusable", problem: `the webhook's stored secret ${what}: rotate the secret, ${otherwise}` };
}
