import { HmacKey } from "../hmac-key.ts";
import type { ParsedKey } from "../signing-key.ts";

/** Reads a secret whose own text, as UTF-8, is the key of the HMAC: any text of 1 to 256 characters. */
export function parseTextSecret(text: string): ParsedKey {
  if (text === "") return { kind: "refused", reason: "must not be empty" };
  if (text.length > maxSecretLength)
    return { kind: "refused", reason: `must be at most ${maxSecretLength} characters` };
  return { kind: "key", key: new HmacKey(Buffer.from(text, "utf8")) };
}

/** Makes such a secret: 32 random bytes in lower-case hexadecimal. */
export function generateTextSecret(randomBytes: (size: number) => Uint8Array): string {
  return Buffer.from(randomBytes(32)).toString("hex");
}

const maxSecretLength = 256;
