import { type EventRecord, identifyEvent } from "../domain/event.ts";
import { type IdSource, newUuid } from "../domain/ids.ts";
import { isNestedDeeper, maxJsonDepth } from "../domain/json-depth.ts";
import { invalidFields } from "../errors.ts";

/** An event as a publisher hands it over. Its texts keep the rules of the contract (event.proto). */
export interface NewEvent {
  /** `evt_…`, a UUID, any other text of the publisher's own, or empty: one is made. */
  id: string;
  /** The organization's UUID, where the publisher names one. */
  organizationId: string | undefined;
  type: string;
  /** The data as JSON text, which is sent on as it stands. */
  dataJson: string;
  /** What the publisher calls the data, for errors. */
  dataField: "data" | "data_json";
  /** Empty texts are none. */
  subject: string;
  projectId: string;
  orderingKey: string;
  traceparent: string;
  /** undefined: now. */
  occurredAt: Date | undefined;
}

/**
 * The event as it is handed on, with its id: an id of the publisher's own becomes the same UUID each time. Throws INVALID_FIELDS, naming
 * `field`, for a text that is no id.
 */
export function eventRecord(event: NewEvent, { organizationId, field, ids }: NewEventContext): EventRecord {
  const identity = event.id === "" ? { id: newUuid(ids), externalId: null } : identifyEvent(organizationId, event.id);
  if (identity === undefined) {
    throw invalidFields({ field: `${field}.id`, description: "must be 1 to 256 visible ASCII characters" });
  }
  return {
    ...identity,
    organizationId,
    type: event.type,
    dataJson: event.dataJson,
    source: null,
    subject: event.subject || null,
    projectId: event.projectId || null,
    orderingKey: event.orderingKey || null,
    traceparent: event.traceparent || null,
    occurredAt: event.occurredAt ?? new Date(ids.now()),
  };
}

export interface NewEventContext {
  organizationId: string;
  /** The event's path in the request. */
  field: string;
  ids: IdSource;
}

/** Throws INVALID_FIELDS, naming `field`, for data that is no JSON text, too large, or nested too deeply. */
export function checkPayload(dataJson: string, { field, maxPayloadBytes }: PayloadRules): void {
  const bytes = Buffer.byteLength(dataJson);
  if (bytes > maxPayloadBytes) {
    throw invalidFields({
      field,
      description: `must be at most ${maxPayloadBytes} bytes as JSON, and is ${bytes}: send a reference to what is large`,
    });
  }
  try {
    JSON.parse(dataJson);
  } catch {
    throw invalidFields({ field, description: "must be JSON text in UTF-8" });
  }
  if (isNestedDeeper(dataJson, maxJsonDepth)) {
    throw invalidFields({ field, description: `must not be nested deeper than ${maxJsonDepth} levels` });
  }
}

export interface PayloadRules {
  field: string;
  maxPayloadBytes: number;
}
