import { sign } from "node:crypto";
import type { SigningKey } from "./signing-key.ts";

/** What is signed: the message's id, the time of the attempt, and the body's bytes. */
export interface SignatureInput {
  id: string;
  /** Unix time of the attempt in whole seconds. */
  timestampSeconds: number;
  body: Uint8Array;
  /** Newest first. During a rotation the old key follows the new one. */
  keys: readonly SigningKey[];
}

/** The three headers of Standard Webhooks 1.0. */
export interface SignatureHeaders {
  "webhook-id": string;
  "webhook-timestamp": string;
  "webhook-signature": string;
}

/**
 * Signs a request as Standard Webhooks 1.0 asks, with every key, separated by spaces: HMAC-SHA256 (`v1`) for a secret, ed25519 (`v1a`)
 * for a private key. Keep the keys between calls: to read one costs about as much as a signature.
 */
export function signatureHeaders({ id, timestampSeconds, body, keys }: SignatureInput): SignatureHeaders {
  const timestamp = String(timestampSeconds);
  const prefix = `${id}.${timestamp}.`;
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": keys.map((key) => signWith(key, prefix, body)).join(" "),
  };
}

function signWith(key: SigningKey, prefix: string, body: Uint8Array): string {
  if (key.algorithm === "HMAC") return `v1,${key.sign("sha256", { head: prefix, body }, "base64")}`;
  // Ed25519 hashes by itself and takes the message in one piece (RFC 8032).
  return `v1a,${sign(null, Buffer.concat([Buffer.from(prefix), body]), key.privateKey).toString("base64")}`;
}
