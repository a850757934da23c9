import { hash } from "node:crypto";
import { TypeID } from "typeid-js";
import { formatTypeId } from "./type-id.ts";

/** The prefixes of public ids: `wh_`, `evt_`, … and a UUID in base32 (https://github.com/jetify-com/typeid, version 0.3). */
export const idPrefixes = {
  webhook: "wh",
  event: "evt",
  delivery: "dlv",
  attempt: "att",
  organization: "org",
  apiKey: "key",
  recovery: "rcv",
  auditEntry: "aud",
  portalToken: "ptk",
} as const;

export type IdKind = keyof typeof idPrefixes;

/** Where ids get their time and their randomness from. */
export interface IdSource {
  now: () => number;
  randomBytes: (size: number) => Uint8Array;
}

/** A new UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits. */
export function newUuid({ now, randomBytes }: IdSource): string {
  newBytes.writeUIntBE(Math.floor(now()), 0, 6);
  newBytes.set(randomBytes(10), 6);
  return formatUuid(newBytes.toString("hex"), 7);
}

/** Those of the UUID that is being made: writing them as text at once is twice as cheap as in two parts. */
const newBytes = Buffer.alloc(16);

/**
 * UUIDv7 in the order in which they are made, also those of one millisecond: a counter stands before the random bits (RFC 9562, section 6.2, method
 * 1). For the ids of one process, and up to 4,096 in a millisecond.
 */
export function createOrderedUuids({ now, randomBytes }: IdSource): () => string {
  let lastMs = 0;
  let count = 0;
  return () => {
    const nowMs = Math.floor(now());
    count = nowMs === lastMs ? Math.min(count + 1, 0xfff) : 0;
    lastMs = nowMs;
    return formatUuid(
      timeHex(nowMs) + count.toString(16).padStart(4, "0") + Buffer.from(randomBytes(8)).toString("hex"),
      7,
    );
  };
}

/** The public form of a stored id: `wh_01h…`. */
export function publicId(kind: IdKind, uuid: string): string {
  return formatTypeId(idPrefixes[kind], uuid);
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

/** The same for an id of any kind. */
export function parseAnyId(text: string): string | undefined {
  const kinds = Object.keys(idPrefixes) as IdKind[];
  return kinds.map((kind) => parseId(kind, text)).find((uuid) => uuid !== undefined);
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
  return formatUuid(timeHex(publishedAtMs) + digest(`message\n${place}`).slice(12), 8);
}

/**
 * The id of an event about Tellwire itself (UUIDv8): from what it tells, such as `delivery.exhausted` and the delivery, so that what is written
 * down twice is one event. Ordered by the time in milliseconds since the epoch.
 */
export function operationalEventId(subject: string, occurredAtMs: number): string {
  return formatUuid(timeHex(occurredAtMs) + digest(`operational\n${subject}`).slice(12), 8);
}

/**
 * The id of an audit entry about a change that Tellwire made itself (UUIDv8): from what it tells, such as `webhook.disable`, the webhook and its
 * version, so that what is written down twice is one entry. Ordered by the time in milliseconds since the epoch, like those of other entries.
 */
export function auditEntryIdOf(subject: string, occurredAtMs: number): string {
  return formatUuid(timeHex(occurredAtMs) + digest(`audit\n${subject}`).slice(12), 8);
}

/**
 * The id of the delivery of an event to a webhook (UUIDv8, RFC 9562, section 5.8). There is one such delivery, so its id follows from the
 * two: a delivery that is started twice, in two processes even, meets itself at the primary key. From the front: 48 bits of the event's
 * receipt in milliseconds since the epoch (fractions are cut off), the last 20 bits of the event's id, 54 bits of a hash of event and webhook.
 * So ids order deliveries by time, and the deliveries of one event stand together (`deliveryIdRange`).
 */
export function deliveryIdOf(eventId: string, receivedAtMs: number, webhookId: string): string {
  return deliveryIds(eventId, receivedAtMs)(webhookId);
}

/** `deliveryIdOf` for an event with many webhooks: what depends on the event alone is worked out once. */
export function deliveryIds(eventId: string, receivedAtMs: number): (webhookId: string) => string {
  const prefix = deliveryIdPrefix(eventId, receivedAtMs);
  return (webhookId) => {
    const hex = hash("sha256", `delivery\n${eventId}\n${webhookId}`, "hex");
    return withLowBits(prefix, Number.parseInt(hex.slice(0, 2), 16) & 0x3f, hex.slice(2, 14));
  };
}

/**
 * The lowest and the highest id that a delivery of the event can have. Another event of the same
 * millisecond may have the same range, so ask for the event's id too.
 */
export function deliveryIdRange(eventId: string, receivedAtMs: number): { first: string; last: string } {
  const prefix = deliveryIdPrefix(eventId, receivedAtMs);
  return { first: withLowBits(prefix, 0, "000000000000"), last: withLowBits(prefix, 0x3f, "ffffffffffff") };
}

/**
 * The lowest UUID of a millisecond: every id that begins with that time or a later one is at least this. Ids begin with times since 1970; before
 * that, it is the lowest of all.
 */
export function firstIdAt(timeMs: number): string {
  const time = timeHex(Math.max(0, timeMs));
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`;
}

/** The time that an id begins with, in milliseconds since the epoch: of a UUIDv7, or of a delivery. */
export function timeOfId(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

/** What all deliveries of an event begin with. */
interface DeliveryIdPrefix {
  /** The time, the version and 12 bits of the event's id. */
  text: string;
  /** The variant, 8 bits of the event's id, and 6 bits that are free. */
  bits: number;
}

function deliveryIdPrefix(eventId: string, receivedAtMs: number): DeliveryIdPrefix {
  const time = timeHex(receivedAtMs);
  const event = eventId.slice(-5);
  return {
    text: `${time.slice(0, 8)}-${time.slice(8)}-8${event.slice(0, 3)}-`,
    bits: 0x8000 | (Number.parseInt(event.slice(3), 16) << 6),
  };
}

function withLowBits({ text, bits }: DeliveryIdPrefix, six: number, twelveDigits: string): string {
  return `${text}${(bits | six).toString(16)}-${twelveDigits}`;
}

/** 48 bits in halves: V8 writes integers of up to 31 bits twice as fast as greater ones. */
function timeHex(timeMs: number): string {
  const time = Math.floor(timeMs);
  const low = time % 2 ** 24;
  const high = (time - low) / 2 ** 24;
  return high.toString(16).padStart(6, "0") + low.toString(16).padStart(6, "0");
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** 128 bits in hexadecimal: asking for text is three times cheaper than asking for bytes. */
function digest(text: string): string {
  return hash("sha256", text, "hex").slice(0, 32);
}

/** Sets the version and the variant (RFC 9562, section 4) of 32 hexadecimal digits, and writes them down as a UUID. */
function formatUuid(hex: string, version: number): string {
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${version}${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
}
