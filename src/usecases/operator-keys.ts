import { hash, timingSafeEqual } from "node:crypto";
import { allScopes } from "../domain/scope.ts";
import type { Authenticator } from "./authenticate.ts";

/**
 * Lets in whoever has one of the operator's keys. There may be several, so that one can be replaced without a moment in which none works. Keys
 * are compared by their SHA-256, and each with all of them, so that the time that it takes says nothing about any.
 */
export function createOperatorKeys(keys: readonly string[]): Authenticator {
  const known = keys.map((key) => ({ digest: sha256(key), fingerprint: operatorKeyFingerprint(key) }));
  return async ({ keyText, origin }) => {
    if (keyText === undefined) return undefined;
    const digest = sha256(keyText);
    const [found] = known.filter((key) => timingSafeEqual(key.digest, digest));
    if (found === undefined) return undefined;
    return { kind: "operator", actor: { kind: "OPERATOR_KEY", id: found.fingerprint }, origin, scopes: allScopes };
  };
}

/** What an operator's key is called wherever it must not be shown. */
export function operatorKeyFingerprint(key: string): string {
  return sha256(key).toString("hex").slice(0, fingerprintLength);
}

/** Enough to tell a few keys apart, and 48 of 256 bits of what a key of at least 24 characters hashes to. */
const fingerprintLength = 12;

function sha256(text: string): Buffer {
  return hash("sha256", text, "buffer");
}
