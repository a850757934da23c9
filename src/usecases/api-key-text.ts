import { hash } from "node:crypto";
import type { IdSource } from "../domain/ids.ts";

/** The text of a new key: 256 random bits, which nobody guesses from a hash. */
export function newApiKeyText(randomBytes: IdSource["randomBytes"]): string {
  return prefix + Buffer.from(randomBytes(32)).toString("base64url");
}

/** Whether a text looks like a key of an organization; every other kind of key has another beginning. */
export function isApiKeyText(text: string): boolean {
  return text.startsWith(prefix);
}

/** What is stored of a key, and what it is found by: its SHA-256. */
export function apiKeyHash(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

/** What may be shown of a key: its prefix and eight characters, enough to tell keys apart, and 48 of 256 bits. */
export function shownPrefix(text: string): string {
  return text.slice(0, prefix.length + 8);
}

const prefix = "twk_";
