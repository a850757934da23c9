import { LRUCache } from "lru-cache";
import {
  type EventRecord,
  type EventTextField,
  eventTextProblem,
  identifyEvent,
  isEventType,
  isTraceparent,
} from "../domain/event.ts";
import { eventIdOfMessage, parseId } from "../domain/ids.ts";
import { isNestedDeeper, maxJsonDepth } from "../domain/json-depth.ts";
import type { IncomingMessage, OutgoingMessage } from "./broker.ts";
import { type EventContent, isStructuredCloudEvent, readCloudEvent } from "./cloud-event.ts";
import { readJson } from "./json-text.ts";
import { publisherMarkHeader } from "./publisher-mark.ts";
import { type Rejected, rejected } from "./rejection.ts";
import { parseRfc3339 } from "./rfc3339.ts";
import { defaultSubjectPrefix, eventSubject, parseEventSubject } from "./subjects.ts";

/** What a message turned out to be. */
export type DecodedMessage = { kind: "event"; event: EventRecord } | Rejected;

export interface DecodeOptions {
  /** The most bytes that an event's data may have. */
  maxPayloadBytes: number;
  subjectPrefix?: string;
}

/**
 * The message for an event that was checked. Decoded again, it gives the same event, but for spaces around its texts and empty ones. With the
 * mark of this deployment it is one that was counted when it was accepted.
 */
export function encodeEventMessage(
  event: EventRecord,
  subjectPrefix: string = defaultSubjectPrefix,
  publisherMark?: string,
): OutgoingMessage {
  const headers: Record<string, string> = {
    // Not Nats-Msg-Id: JetStream would drop an event of another organization that has the same id.
    "ce-id": event.externalId ?? event.id,
    "ce-time": event.occurredAt.toISOString(),
  };
  for (const [name, value] of [
    ["ce-source", event.source],
    ["ce-subject", event.subject],
    ["tellwire-project", event.projectId],
    ["tellwire-ordering-key", event.orderingKey],
    ["traceparent", event.traceparent],
    [publisherMarkHeader, publisherMark ?? null],
  ] as const) {
    if (value !== null) {
      headers[name] = value;
    }
  }
  return {
    subject: eventSubject(subjectPrefix, event.organizationId, event.type),
    headers,
    body: Buffer.from(event.dataJson),
  };
}

/**
 * Reads an event from the subject `tellwire.events.<organization uuid or org_ id>.<event type>`, the headers, in any case, and the body:
 * the event's data as JSON, which is kept byte for byte, or, with the content type `application/cloudevents+json`, a CloudEvent.
 *
 * The id is that of `ce-id`, else of `Nats-Msg-Id`, else one that follows from the message's place, so that each delivery of the message
 * gives the same event. A traceparent that is none is ignored, as W3C asks; anything else that is wrong rejects the message.
 */
export function decodeEventMessage(message: IncomingMessage, options: DecodeOptions): DecodedMessage {
  const address = readSubject(message.subject, options.subjectPrefix ?? defaultSubjectPrefix);
  if (address.kind === "rejected") {
    return address;
  }
  if (message.headersProblem !== undefined) {
    return rejected("BAD_HEADER", `the headers cannot be read: ${message.headersProblem}`);
  }
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(message.headers)) {
    headers.set(name.toLowerCase(), value.trim());
  }
  const content = readContent(message.body, headers, address.type);
  if (content.kind === "rejected") {
    return content;
  }
  const bytes = Buffer.byteLength(content.dataJson);
  if (bytes > options.maxPayloadBytes) {
    return rejected("TOO_LARGE", `the data has ${bytes} bytes; the most is ${options.maxPayloadBytes}`);
  }
  if (isNestedDeeper(content.dataJson, maxJsonDepth)) {
    return rejected("BAD_JSON", `the data is nested deeper than ${maxJsonDepth} levels`);
  }
  return assemble(message, address, headers, content);
}

type Headers = ReadonlyMap<string, string>;

interface Address {
  kind: "address";
  organizationId: string;
  type: string;
}

function readSubject(subject: string, prefix: string): Address | Rejected {
  const tokens = parseEventSubject(prefix, subject);
  if (tokens === undefined) {
    return rejected("BAD_SUBJECT", `the subject must be ${eventSubject(prefix, "<organization>", "<event type>")}`);
  }
  const organizationId = organizationIdOf(tokens.organization);
  if (organizationId === undefined) {
    return rejected("BAD_SUBJECT", "the third token of the subject must be an organization: its UUID or its org_ id");
  }
  if (!isEventType(tokens.type)) {
    return rejected(
      "BAD_EVENT_TYPE",
      "the event type, which is the rest of the subject, must be letters, digits, _ and -, in parts joined by dots, at most 128 characters",
    );
  }
  return { kind: "address", organizationId, type: tokens.type };
}

/** The same few organizations come again and again. */
const organizationIds = new LRUCache<string, string>({ max: 10_000 });

function organizationIdOf(token: string): string | undefined {
  // The oldest goes, not the one used least recently: to move an entry with each event costs more than to parse one now and then.
  const known = organizationIds.peek(token);
  if (known !== undefined) {
    return known;
  }
  const id = parseId("organization", token);
  if (id !== undefined) {
    organizationIds.set(token, id);
  }
  return id;
}

function readContent(body: Uint8Array, headers: Headers, type: string): EventContent | Rejected {
  const contentType = headers.get("content-type") ?? "";
  if (isStructuredCloudEvent(contentType)) {
    return readCloudEvent(body, contentType, type);
  }
  const ceType = given(headers, "ce-type");
  if (ceType !== null && ceType !== type) {
    return rejected("BAD_HEADER", `ce-type must be the event type of the subject, ${type}`);
  }
  const json = readJson(body);
  if (json.kind === "invalid") {
    return rejected("BAD_JSON", `the body must be the event's data as JSON: ${json.problem}`);
  }
  return {
    kind: "content",
    format: "headers",
    id: given(headers, "ce-id") ?? given(headers, "nats-msg-id"),
    time: given(headers, "ce-time"),
    source: given(headers, "ce-source"),
    subject: given(headers, "ce-subject"),
    traceparent: null,
    dataJson: json.text,
  };
}

function assemble(message: IncomingMessage, address: Address, headers: Headers, content: EventContent): DecodedMessage {
  const { organizationId, type } = address;
  const identity =
    content.id === null
      ? { id: eventIdOfMessage(message.place, message.publishedAt.getTime()), externalId: null }
      : identifyEvent(organizationId, content.id);
  if (identity === undefined) {
    return rejected("BAD_ID", "the event's id must be 1 to 256 visible ASCII characters, without spaces");
  }
  const occurredAt = content.time === null ? message.publishedAt : parseRfc3339(content.time);
  if (occurredAt === undefined) {
    return rejected("BAD_TIME", "the event's time must be a timestamp of RFC 3339, such as 2026-05-01T12:00:00Z");
  }
  const { source, subject } = content;
  const projectId = given(headers, "tellwire-project");
  const orderingKey = given(headers, "tellwire-ordering-key");
  const problem =
    textProblem("source", source, content.format) ??
    textProblem("subject", subject, content.format) ??
    textProblem("projectId", projectId, "headers") ??
    textProblem("orderingKey", orderingKey, "headers");
  if (problem !== undefined) {
    return problem;
  }
  const traceparent = [content.traceparent, given(headers, "traceparent")].find(
    (candidate) => candidate !== null && isTraceparent(candidate),
  );
  return {
    kind: "event",
    event: {
      ...identity,
      organizationId,
      type,
      dataJson: content.dataJson,
      source,
      subject,
      projectId,
      orderingKey,
      traceparent: traceparent ?? null,
      occurredAt,
    },
  };
}

const headerOf: Record<EventTextField, string> = {
  source: "ce-source",
  subject: "ce-subject",
  projectId: "tellwire-project",
  orderingKey: "tellwire-ordering-key",
};

function textProblem(field: EventTextField, text: string | null, format: EventContent["format"]): Rejected | undefined {
  const problem = text === null ? undefined : eventTextProblem(field, text);
  if (problem === undefined) {
    return undefined;
  }
  return format === "headers"
    ? rejected("BAD_HEADER", `${headerOf[field]} ${problem}`)
    : rejected("BAD_CLOUDEVENT", `${field} ${problem}`);
}

/** A header that is empty counts as one that is missing. */
function given(headers: Headers, name: string): string | null {
  return headers.get(name) || null;
}
