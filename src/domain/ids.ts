import { hash } from "node:crypto";
import { TypeID } from "typeid-js";

/** The prefixes of public ids: `wh_`, `evt_`, … and a UUID in base32 (https://github.com/jetify-com/typeid, version 0.3). */
export const idPrefixes = {
  webhook: "wh",
  event: "evt",
  delivery: "dlv",
  attempt: "att",
  organization: "org",
  apiKey: "key",
} as const;

export type IdKind = keyof typeof idPrefixes;

/** Where ids get their time and their randomness from. */
export interface IdSource {
  now: () => number;
  randomBytes: (size: number) => Uint8Array;
}

/** A new UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits. */
export function newUuid({ now, randomBytes }: IdSource): string {
  const bytes = Buffer.from(randomBytes(16));
  bytes.writeUIntBE(now(), 0, 6);
  return formatUuid(bytes, 7);
}

/** The public form of a stored id: `wh_01h…`. */
export function publicId(kind: IdKind, uuid: string): string {
  return TypeID.fromUUID(idPrefixes[kind], uuid).toString();
}

/** The UUID, in lower case, of a public id or of a bare UUID; undefined where the text is neither. */
export function parseId(kind: IdKind, text: string): string | undefined {
  if (uuidPattern.test(text)) {
    return text.toLowerCase();
  }
  if (!text.startsWith(`${idPrefixes[kind]}_`)) {
    return undefined;
  }
  try {
    return TypeID.fromString(text, idPrefixes[kind]).toUUID();
  } catch {
    return undefined;
  }
}

/**
 * The id of the event that a publisher calls `externalId`: always the same one for the same organization and text, so that publishing
 * twice is seen as such by the primary key alone. It carries no time (UUIDv8, RFC 9562, section 5.8).
 */
export function eventIdOfExternalId(organizationId: string, externalId: string): string {
  return formatUuid(digest(`event\n${organizationId}\n${externalId}`), 8);
}

/**
 * The id of an event that came without one: from its place in the broker (such as the stream's name and the sequence), so that a message
 * that is delivered again is the same event. Ordered by the time at which the broker took it.
 */
export function eventIdOfMessage(place: string, publishedAtMs: number): string {
  const bytes = digest(`message\n${place}`);
  bytes.writeUIntBE(publishedAtMs, 0, 6);
  return formatUuid(bytes, 8);
}

/**
 * The id of the delivery of an event to a webhook. There is one such delivery, so its id follows from the two: a delivery that is started
 * twice, in two processes even, meets itself at the primary key. It starts with the event's first 48 bits, so that deliveries of new
 * events stay together in the index.
 */
export function deliveryIdOf(eventId: string, webhookId: string): string {
  const bytes = digest(`delivery\n${eventId}\n${webhookId}`);
  bytes.write(eventId.slice(0, 8) + eventId.slice(9, 13), 0, 6, "hex");
  return formatUuid(bytes, 8);
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer").subarray(0, 16);
}

/** Sets the version and the variant (RFC 9562, section 4) and writes the 16 bytes down. */
function formatUuid(bytes: Buffer, version: number): string {
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | (version << 4), 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
