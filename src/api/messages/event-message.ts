import { create } from "@bufbuild/protobuf";
import { type Event, EventSchema } from "../../../gen/tellwire/v1/event_pb.ts";
import { publicId } from "../../domain/ids.ts";
import { invalidFields } from "../../errors.ts";
import type { NewEvent } from "../../usecases/new-event.ts";
import type { StoredEvent } from "../../usecases/read-events.ts";
import { dateOf, jsonTextOf, optionalUuidOf, timestampOf, valueOfJsonText } from "./wire-values.ts";

/** An event as answers show it. */
export function eventMessage(event: StoredEvent): Event {
  return create(EventSchema, {
    id: publicId("event", event.id),
    externalId: event.externalId ?? "",
    organizationId: publicId("organization", event.organizationId),
    type: event.type,
    data: valueOfJsonText(event.dataJson),
    subject: event.subject ?? "",
    projectId: event.projectId ?? "",
    orderingKey: event.orderingKey ?? "",
    occurTime: timestampOf(event.occurredAt),
    receiveTime: timestampOf(event.receivedAt),
    traceparent: event.traceparent ?? "",
  });
}

/** What a publisher hands over. The message's rules hold already; `field` names it in the request. Throws INVALID_FIELDS. */
export function newEvent(event: Event, field: string): NewEvent {
  const { id, type, subject, projectId, orderingKey, traceparent } = event;
  return {
    id,
    organizationId: optionalUuidOf("organization", event.organizationId, `${field}.organization_id`),
    type,
    ...dataOf(event, field),
    subject,
    projectId,
    orderingKey,
    traceparent,
    occurredAt: dateOf(event.occurTime, `${field}.occur_time`),
  };
}

/** The event of a request. Throws INVALID_FIELDS where it has none; the contract's rules refuse that before. */
export function requiredEvent(event: Event | undefined): Event {
  if (event !== undefined) return event;
  throw invalidFields({ field: "event", description: "value is required" });
}

function dataOf({ data, dataJson }: Event, field: string): Pick<NewEvent, "dataJson" | "dataField"> {
  if (data !== undefined) return { dataJson: jsonTextOf(data, `${field}.data`), dataField: "data" };
  try {
    return { dataJson: utf8.decode(dataJson), dataField: "data_json" };
  } catch {
    throw invalidFields({ field: `${field}.data_json`, description: "must be JSON text in UTF-8" });
  }
}

/** A byte order mark stays in, and is refused with the rest of what is no JSON text (RFC 8259, 8.1). */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
