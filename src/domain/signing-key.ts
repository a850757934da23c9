import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";

/** A key to sign with, or why a text is none. */
export type ParsedKey = { kind: "key"; key: KeyObject } | { kind: "refused"; reason: string };

/**
 * Reads a signing secret: `whsec_` and 24 to 64 bytes in standard base64 (Standard Webhooks 1.0, "signature scheme"). The reason of a
 * refusal is for whoever sent the secret, and never repeats it.
 */
export function parseSecret(text: string): ParsedKey {
  if (!text.startsWith(SECRET_PREFIX)) return refused(`must begin with ${SECRET_PREFIX}`);
  const bytes = decodeBase64(text.slice(SECRET_PREFIX.length));
  if (bytes === null) return refused(`must be standard base64, padding included, after ${SECRET_PREFIX}`);
  if (bytes.length < MIN_SECRET_BYTES || bytes.length > MAX_SECRET_BYTES) {
    return refused(`must hold ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes in base64, and holds ${bytes.length}`);
  }
  return { kind: "key", key: createSecretKey(bytes) };
}

/**
 * Reads an ed25519 signing key: `whsk_` and, in base64, the 32 bytes of the seed followed by the 32 bytes of the public key
 * (Standard Webhooks 1.0, "asymmetric signatures"). Halves that do not belong together are refused.
 */
export function parsePrivateKey(text: string): ParsedKey {
  if (!text.startsWith(PRIVATE_KEY_PREFIX)) return refused(`must begin with ${PRIVATE_KEY_PREFIX}`);
  const bytes = decodeBase64(text.slice(PRIVATE_KEY_PREFIX.length));
  if (bytes?.length !== 64) return refused(`must be 64 bytes in standard base64 after ${PRIVATE_KEY_PREFIX}`);
  const x = bytes.toString("base64url", 32);
  const key = createPrivateKey({
    format: "jwk",
    key: { kty: "OKP", crv: "Ed25519", d: bytes.toString("base64url", 0, 32), x },
  });
  if (createPublicKey(key).export({ format: "jwk" }).x !== x)
    return refused("must end with the public key of its seed");
  return { kind: "key", key };
}

/** Makes a secret of 32 random bytes, as text with its prefix. `randomBytes` must be cryptographically strong. */
export function generateSecret(randomBytes: (size: number) => Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(randomBytes(32)).toString("base64");
}

const SECRET_PREFIX = "whsec_";
const PRIVATE_KEY_PREFIX = "whsk_";
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

/** Strict, because receivers' libraries are: what does not encode back to the same text is none. */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : null;
}

function refused(reason: string): ParsedKey {
  return { kind: "refused", reason };
}
