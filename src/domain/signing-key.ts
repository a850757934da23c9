import { createPrivateKey, createPublicKey, hash, type KeyObject } from "node:crypto";
import { TellwireError } from "../errors.ts";
import { HmacKey } from "./hmac-key.ts";

/** What requests are signed with: a secret that the receiver shares, or a key pair whose private half nobody else has. */
export type SigningAlgorithm = "HMAC" | "ED25519";

/** A key to sign with. */
export type SigningKey = HmacKey | { algorithm: "ED25519"; privateKey: KeyObject };

/** The key of a format that knows HMAC alone. Throws INTERNAL for a private key: such a format reads no text as one. */
export function hmacKeyOf(key: SigningKey): HmacKey {
  if (key.algorithm === "HMAC") return key;
  throw new TellwireError("INTERNAL", "a private key signs nothing by HMAC");
}

/** A key to sign with, or why a text is none. */
export type ParsedKey = { kind: "key"; key: SigningKey } | { kind: "refused"; reason: string };

/** Reads what Standard Webhooks signs with: a secret (`whsec_…`), or a private key (`whsk_…`). */
export function parseSigningKey(text: string): ParsedKey {
  if (isPrivateKeyText(text)) return parsePrivateKey(text);
  return text.startsWith(SECRET_PREFIX)
    ? parseSecret(text)
    : refused(`must begin with ${SECRET_PREFIX}, or with ${PRIVATE_KEY_PREFIX} where it is an ed25519 private key`);
}

/** Whether a text is meant as a private key. */
function isPrivateKeyText(text: string): boolean {
  return text.startsWith(PRIVATE_KEY_PREFIX);
}

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
  return { kind: "key", key: new HmacKey(bytes) };
}

/**
 * Reads an ed25519 signing key: `whsk_` and, in base64, the 32 bytes of the seed followed by the 32 bytes of the public key
 * (Standard Webhooks 1.0, "asymmetric signatures"). Halves that do not belong together are refused.
 */
export function parsePrivateKey(text: string): ParsedKey {
  if (!isPrivateKeyText(text)) return refused(`must begin with ${PRIVATE_KEY_PREFIX}`);
  const bytes = decodeBase64(text.slice(PRIVATE_KEY_PREFIX.length));
  if (bytes?.length !== 64) return refused(`must be 64 bytes in standard base64 after ${PRIVATE_KEY_PREFIX}`);
  const privateKey = privateKeyOfSeed(bytes.subarray(0, SEED_BYTES));
  if (!publicKeyOf(privateKey).equals(bytes.subarray(SEED_BYTES)))
    return refused("must end with the public key of its seed");
  return { kind: "key", key: { algorithm: "ED25519", privateKey } };
}

/** Makes a secret of 32 random bytes, as text with its prefix. `randomBytes` must be cryptographically strong. */
export function generateSecret(randomBytes: (size: number) => Uint8Array): string {
  return SECRET_PREFIX + Buffer.from(randomBytes(32)).toString("base64");
}

/** Makes an ed25519 private key, as text with its prefix. `randomBytes` must be cryptographically strong. */
export function generatePrivateKey(randomBytes: (size: number) => Uint8Array): string {
  const seed = Buffer.from(randomBytes(SEED_BYTES));
  return PRIVATE_KEY_PREFIX + Buffer.concat([seed, publicKeyOf(privateKeyOfSeed(seed))]).toString("base64");
}

/** The 32 bytes of the public key that belongs to a private one. */
export function publicKeyOf(privateKey: KeyObject): Buffer {
  return Buffer.from(String(createPublicKey(privateKey).export({ format: "jwk" }).x), "base64url");
}

/** A public key as Standard Webhooks writes it: `whpk_` and its bytes in base64. */
export function publicKeyText(publicKey: Uint8Array): string {
  return PUBLIC_KEY_PREFIX + Buffer.from(publicKey).toString("base64");
}

/** A public key as a member of a JWK Set. */
export interface PublicJwk {
  kty: "OKP";
  crv: "Ed25519";
  x: string;
  kid: string;
  use: "sig";
  alg: "EdDSA";
}

/** The 32 bytes of a public key as a JWK (RFC 7517, RFC 8037). Its `kid` is its thumbprint (RFC 7638), so that a key is always called the same. */
export function publicJwk(publicKey: Uint8Array): PublicJwk {
  const x = Buffer.from(publicKey).toString("base64url");
  // RFC 8037, section 2: the members of the thumbprint, in this order and without spaces.
  const kid = hash("sha256", `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`, "base64url");
  return { kty: "OKP", crv: "Ed25519", x, kid, use: "sig", alg: "EdDSA" };
}

const SECRET_PREFIX = "whsec_";
const PRIVATE_KEY_PREFIX = "whsk_";
const PUBLIC_KEY_PREFIX = "whpk_";
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;
const SEED_BYTES = 32;

/** What stands before the seed in the DER of PKCS #8 (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

function privateKeyOfSeed(seed: Uint8Array): KeyObject {
  return createPrivateKey({ format: "der", type: "pkcs8", key: Buffer.concat([PKCS8_HEAD, seed]) });
}

/** Strict, because receivers' libraries are: what does not encode back to the same text is none. */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : null;
}

function refused(reason: string): ParsedKey {
  return { kind: "refused", reason };
}
