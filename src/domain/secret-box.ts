import { createHash, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { TellwireError } from "../errors.ts";
import { decrypt, encrypt, encryptionOverheadBytes } from "./authenticated-encryption.ts";

/** Seals secrets for the database. */
export interface SecretBox {
  /** The ids of the keys, in 16 hexadecimal digits each: the first seals, all of them open. */
  readonly keyIds: readonly [sealing: string, ...others: string[]];
  /** What everything begins with that it seals, 9 bytes: a value that begins otherwise is of another key, or of an older form. */
  readonly header: Buffer;
  /** Encrypts a text. The same context must be given to open it, so that a row's secret cannot be moved to another row. */
  seal(plaintext: string, context: string): Buffer;
  /** Decrypts what `seal` made. Throws SECRETS_KEY_MISMATCH where no key opens it. */
  open(sealed: Uint8Array, context: string): string;
  /**
   * What opens to the same text, sealed with the first key. What was encrypted stays as it is: only its data key is sealed anew. Throws
   * SECRETS_KEY_MISMATCH.
   */
  reseal(sealed: Uint8Array, context: string): Buffer;
}

/**
 * Makes a box of AES-256-GCM keys of 32 bytes each: the first one seals, all of them open, so that a key is rotated by putting the new
 * one in front. Each text is encrypted with a data key of its own, which the first key seals. A sealed value is: version (1 byte, 2), key id
 * (8 bytes), the encrypted data key (60 bytes), the encrypted text. Version, key id and context are authenticated. Values of version 1, whose
 * text is encrypted with the key itself, are opened, and are of version 2 when they are sealed again. Throws CONFIG_INVALID where there is no key,
 * and where one is there twice.
 */
export function createSecretBox({ keys }: { keys: readonly Uint8Array[] }): SecretBox {
  const entries = keys.map((bytes): Entry => ({ id: keyId(bytes), key: createSecretKey(bytes) }));
  const [newest, ...older] = entries;
  if (newest === undefined) throw new TellwireError("CONFIG_INVALID", "a secret box needs at least one key");
  if (new Set(entries.map(hexOf)).size < entries.length) throw new TellwireError("CONFIG_INVALID", sameKeyTwice);

  const seal = (plaintext: string, context: string): Buffer => {
    const dataKey = randomBytes(keyBytes);
    const text = encrypt(createSecretKey(dataKey), Buffer.from(plaintext, "utf8"), textLabel(context));
    return Buffer.concat([sealDataKey(newest, dataKey, context), text]);
  };

  const open = (sealed: Uint8Array, context: string): string => {
    const parts = partsOf(sealed);
    const { key } = entryOf(entries, parts);
    if (parts.version === directVersion) return decrypted(key, parts.rest, labelled(parts.header, context)).toString();
    const dataKey = openDataKey(key, parts, context);
    return decrypted(createSecretKey(dataKey), textOf(parts), textLabel(context)).toString();
  };

  return {
    keyIds: [hexOf(newest), ...older.map(hexOf)],
    header: headerOf(newest),
    seal,
    open,
    reseal(sealed, context) {
      const parts = partsOf(sealed);
      if (parts.version === directVersion) return seal(open(sealed, context), context);
      const dataKey = openDataKey(entryOf(entries, parts).key, parts, context);
      return Buffer.concat([sealDataKey(newest, dataKey, context), textOf(parts)]);
    },
  };
}

/** What a header says: which key sealed the value, in 16 hexadecimal digits, and whether in the form that is sealed in now. */
export function readSealedHeader(header: Uint8Array): { keyId: string; isPresentForm: boolean } {
  const keyId = Buffer.from(header.subarray(1, headerBytes)).toString("hex");
  return { keyId, isPresentForm: header[0] === envelopeVersion };
}

/** Whether an error says that no key opens a value. */
export function isKeyMismatch(error: unknown): boolean {
  return error instanceof TellwireError && error.reason === "SECRETS_KEY_MISMATCH";
}

/** Reads the text of a key: 32 bytes in base64. Throws CONFIG_INVALID; `name` is the variable that the text came from. */
export function parseSecretsKey(text: string, name: string): Buffer {
  const key = Buffer.from(text.trim(), "base64");
  if (key.length === keyBytes && /^[A-Za-z0-9+/_-]{43}=?$/.test(text.trim())) return key;
  throw new TellwireError(
    "CONFIG_INVALID",
    `${name} must be ${keyBytes} random bytes in base64, such as "openssl rand -base64 ${keyBytes}" prints`,
  );
}

const sameKeyTwice =
  "TELLWIRE_SECRETS_KEY holds the same key twice: a new key is made with `openssl rand -base64 32`; what is not changed stands there once";

interface Entry {
  id: Buffer;
  key: KeyObject;
}

/** What a sealed value begins with, and the rest of it. */
interface Parts {
  version: typeof directVersion | typeof envelopeVersion;
  /** Version and key id. */
  header: Buffer;
  rest: Buffer;
}

const directVersion = 1;
const envelopeVersion = 2;
const keyBytes = 32;
const keyIdBytes = 8;
const headerBytes = 1 + keyIdBytes;
const sealedKeyBytes = encryptionOverheadBytes + keyBytes;

function partsOf(sealed: Uint8Array): Parts {
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
  const [version] = bytes;
  const leastBytes = headerBytes + encryptionOverheadBytes + (version === envelopeVersion ? sealedKeyBytes : 0);
  if ((version !== directVersion && version !== envelopeVersion) || bytes.length < leastBytes) {
    throw mismatch("is in no format that this version knows");
  }
  return { version, header: bytes.subarray(0, headerBytes), rest: bytes.subarray(headerBytes) };
}

function entryOf(entries: readonly Entry[], { header }: Parts): Entry {
  const id = header.subarray(1);
  const entry = entries.find((candidate) => candidate.id.equals(id));
  if (entry === undefined) throw mismatch(`was sealed with another key (id ${id.toString("hex")})`);
  return entry;
}

function headerOf({ id }: Entry): Buffer {
  return Buffer.concat([Buffer.of(envelopeVersion), id]);
}

function sealDataKey(entry: Entry, dataKey: Uint8Array, context: string): Buffer {
  const header = headerOf(entry);
  return Buffer.concat([header, encrypt(entry.key, dataKey, labelled(header, context))]);
}

function openDataKey(key: KeyObject, { header, rest }: Parts, context: string): Buffer {
  return decrypted(key, rest.subarray(0, sealedKeyBytes), labelled(header, context));
}

/** The encrypted text of an envelope. */
function textOf({ rest }: Parts): Buffer {
  return rest.subarray(sealedKeyBytes);
}

function decrypted(key: KeyObject, encrypted: Uint8Array, authenticated: Uint8Array): Buffer {
  try {
    return decrypt(key, encrypted, authenticated);
  } catch (cause) {
    throw mismatch("was changed, or belongs to another row", cause);
  }
}

/** Without the key's id, which changes when the data key is sealed anew. */
function textLabel(context: string): Buffer {
  return labelled(Buffer.of(envelopeVersion), context);
}

function labelled(label: Buffer, context: string): Buffer {
  return Buffer.concat([label, Buffer.from(context, "utf8")]);
}

/** Names a key without telling anything about it: it has 256 random bits. */
function keyId(key: Uint8Array): Buffer {
  return createHash("sha256").update(key).digest().subarray(0, keyIdBytes);
}

function hexOf({ id }: Entry): string {
  return id.toString("hex");
}

function mismatch(what: string, cause?: unknown): TellwireError {
  return new TellwireError(
    "SECRETS_KEY_MISMATCH",
    `a stored secret ${what}: check that TELLWIRE_SECRETS_KEY is the key that this database was written with`,
    { cause },
  );
}
