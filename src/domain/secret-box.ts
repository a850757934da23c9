import { createCipheriv, createDecipheriv, createHash, createSecretKey, randomBytes } from "node:crypto";
import { TellwireError } from "../errors.ts";

/** Seals secrets for the database. */
export interface SecretBox {
  /** Encrypts a text. The same context must be given to open it, so that a row's secret cannot be moved to another row. */
  seal(plaintext: string, context: string): Buffer;
  /** Decrypts what `seal` made. Throws SECRETS_KEY_MISMATCH where no key opens it. */
  open(sealed: Uint8Array, context: string): string;
}

/**
 * Makes a box of AES-256-GCM keys of 32 bytes each: the first one seals, all of them open, so that a key is rotated by putting the new
 * one in front. A sealed value is: version (1 byte, 1), key id (8 bytes), nonce (12), tag (16), ciphertext; version, key id and context
 * are authenticated. Nonces are random (NIST SP 800-38D, 8.2.2), which one key bears for 2^32 values.
 */
export function createSecretBox({ keys }: { keys: readonly Uint8Array[] }): SecretBox {
  const entries = keys.map((bytes) => ({ id: keyId(bytes), key: createSecretKey(bytes) }));
  const [newest] = entries;
  if (newest === undefined) throw new TellwireError("CONFIG_INVALID", "a secret box needs at least one key");

  return {
    seal(plaintext, context) {
      const header = Buffer.concat([Buffer.of(VERSION), newest.id]);
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", newest.key, nonce).setAAD(authenticated(header, context));
      const ciphertext = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final()]);
      return Buffer.concat([header, nonce, cipher.getAuthTag(), ciphertext]);
    },
    open(sealed, context) {
      const buffer = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
      if (buffer.length < CIPHERTEXT_AT || buffer[0] !== VERSION)
        throw mismatch("is in no format that this version knows");
      const id = buffer.subarray(1, HEADER_BYTES);
      const entry = entries.find((candidate) => candidate.id.equals(id));
      if (entry === undefined) throw mismatch(`was sealed with another key (id ${id.toString("hex")})`);
      const decipher = createDecipheriv("aes-256-gcm", entry.key, buffer.subarray(HEADER_BYTES, TAG_AT))
        .setAAD(authenticated(buffer.subarray(0, HEADER_BYTES), context))
        .setAuthTag(buffer.subarray(TAG_AT, CIPHERTEXT_AT));
      try {
        return Buffer.concat([decipher.update(buffer.subarray(CIPHERTEXT_AT)), decipher.final()]).toString("utf8");
      } catch (cause) {
        throw mismatch("was changed, or belongs to another webhook", cause);
      }
    },
  };
}

/** Reads the text of a key: 32 bytes in base64. Throws CONFIG_INVALID; `name` is the variable that the text came from. */
export function parseSecretsKey(text: string, name: string): Buffer {
  const key = Buffer.from(text.trim(), "base64");
  if (key.length === KEY_BYTES && /^[A-Za-z0-9+/_-]{43}=?$/.test(text.trim())) return key;
  throw new TellwireError(
    "CONFIG_INVALID",
    `${name} must be ${KEY_BYTES} random bytes in base64, such as "openssl rand -base64 ${KEY_BYTES}" prints`,
  );
}

const VERSION = 1;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;
const TAG_AT = HEADER_BYTES + NONCE_BYTES;
const CIPHERTEXT_AT = TAG_AT + TAG_BYTES;

/** Names a key without telling anything about it: it has 256 random bits. */
function keyId(key: Uint8Array): Buffer {
  return createHash("sha256").update(key).digest().subarray(0, KEY_ID_BYTES);
}

function authenticated(header: Buffer, context: string): Buffer {
  return Buffer.concat([header, Buffer.from(context, "utf8")]);
}

function mismatch(what: string, cause?: unknown): TellwireError {
  return new TellwireError(
    "SECRETS_KEY_MISMATCH",
    `a stored secret ${what}: check that TELLWIRE_SECRETS_KEY is the key that this database was written with`,
    { cause },
  );
}
