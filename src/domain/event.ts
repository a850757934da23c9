import { eventIdOfExternalId, parseId } from "./ids.ts";

/** An event as a publisher reported it, checked, with its identity settled. */
export interface EventRecord {
  /** A UUID. The publisher may have chosen it, so it is unique only within the organization. */
  id: string;
  organizationId: string;
  /** The publisher's own id, where it is neither `evt_…` nor a UUID. */
  externalId: string | null;
  type: string;
  /** The data as JSON text, as the publisher wrote it. */
  dataJson: string;
  source: string | null;
  subject: string | null;
  projectId: string | null;
  orderingKey: string | null;
  traceparent: string | null;
  occurredAt: Date;
}

/** Who an event is for: every webhook that subscribes to its type, one webhook to which it was sent by itself, or a test of one. */
export type EventAudience = "SUBSCRIBERS" | "WEBHOOK" | "TEST";

/** The fields of an event that hold free text. */
export type EventTextField = "source" | "subject" | "projectId" | "orderingKey";

/** Whether the text is an event type: letters, digits, `_` and `-`, in parts joined by dots, at most 128 characters. */
export function isEventType(text: string): boolean {
  return text.length <= 128 && /^[\w-]+(\.[\w-]+)*$/.test(text);
}

/**
 * The identity of the event that a publisher calls `text`: that id itself where it is `evt_…` or a UUID, else one that follows from the
 * text. Undefined where the text is not 1 to 256 visible ASCII characters.
 */
export function identifyEvent(
  organizationId: string,
  text: string,
): Pick<EventRecord, "id" | "externalId"> | undefined {
  if (text.length > 256 || !/^[\x21-\x7e]+$/.test(text)) {
    return undefined;
  }
  const id = parseId("event", text);
  return id === undefined
    ? { id: eventIdOfExternalId(organizationId, text), externalId: text }
    : { id, externalId: null };
}

/** What is wrong with the text of a field, as the end of a sentence that starts with its name; undefined where nothing is. */
export function eventTextProblem(field: EventTextField, text: string): string | undefined {
  const { maxLength, pattern, alphabet } = textRules[field];
  return text.length <= maxLength && pattern.test(text) ? undefined : `must be at most ${maxLength} ${alphabet}`;
}

/** Whether the text is a trace context that may be sent on (https://www.w3.org/TR/trace-context/#traceparent-header-field-values). */
export function isTraceparent(text: string): boolean {
  const [, version, traceId, parentId] = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(text) ?? [];
  return version !== undefined && version !== "ff" && !isZero(traceId) && !isZero(parentId);
}

const printable = { pattern: /^[\x20-\x7e]*$/, alphabet: "printable ASCII characters" };
const visible = { pattern: /^[\x21-\x7e]*$/, alphabet: "visible ASCII characters, without spaces" };

const textRules = {
  source: { maxLength: 1024, ...visible },
  subject: { maxLength: 256, ...printable },
  projectId: { maxLength: 128, ...visible },
  orderingKey: { maxLength: 256, ...printable },
};

function isZero(hex: string | undefined): boolean {
  return hex === undefined || /^0*$/.test(hex);
}
