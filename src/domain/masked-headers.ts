import type { FieldViolation } from "../errors.ts";
import { headerField } from "./webhook-headers.ts";

/** What answers show in place of a sensitive header's value. Sent back in an update, it stands for the value that is stored. */
export const maskedValue = "********";

/**
 * Whether a header's value is a secret by its name: one of its words says so (`authorization`, `x-api-key`, `client_secret`), or it ends with such
 * a word (`apikey`, `accesstoken`). What is shown of others is their owner's own choice of name.
 */
export function isSensitiveHeader(name: string): boolean {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  return words.some((word) => sensitiveWords.has(word) || sensitiveEndings.some((ending) => word.endsWith(ending)));
}

/** The headers as answers show them. */
export function maskedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, isSensitiveHeader(name) ? maskedValue : value]),
  );
}

/** The headers of an update, with the stored value (names compared without regard to case) where the update has the mask. */
export function unmaskedHeaders(
  headers: Readonly<Record<string, string>>,
  stored: Readonly<Record<string, string>>,
): Record<string, string> {
  const values = new Map(Object.entries(stored).map(([name, value]) => [name.toLowerCase(), value]));
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      isMask(name, value) ? (values.get(name.toLowerCase()) ?? value) : value,
    ]),
  );
}

/** A violation with the description for each value that is the mask. */
export function maskViolations(
  headers: Readonly<Record<string, string>>,
  { field, description }: FieldViolation,
): FieldViolation[] {
  return Object.entries(headers)
    .filter(([name, value]) => isMask(name, value))
    .map(([name]) => ({ field: headerField(field, name), description }));
}

function isMask(name: string, value: string): boolean {
  return value === maskedValue && isSensitiveHeader(name);
}

const sensitiveWords: ReadonlySet<string> = new Set([
  "auth",
  "authentication",
  "authorization",
  "bearer",
  "code",
  "cookie",
  "credential",
  "credentials",
  "jwt",
  "pass",
  "passphrase",
  "pin",
  "pwd",
  "session",
  "sid",
  "signature",
]);

const sensitiveEndings = ["key", "keys", "token", "tokens", "secret", "secrets", "password", "passwd"];
