import { encodeEventMessage } from "../broker/event-message.ts";
import { type Principal, requiredOrganizationOf } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";
import { checkPayload, eventRecord, type NewEvent } from "./new-event.ts";
import type { Organizations } from "./organizations.ts";

/**
 * Publishes events, all or none of them where one is refused, and answers with their UUIDs in order when the broker holds them durably.
 * `fieldOf` names an event in the request, such as `events[3]`. Throws INVALID_FIELDS, ORGANIZATION_REQUIRED, ORGANIZATION_NOT_FOUND, and
 * BROKER_UNAVAILABLE, after which some of the events may be held: publishing them again with the same ids delivers nothing twice.
 */
export type PublishEvents = (
  principal: Principal,
  events: readonly NewEvent[],
  fieldOf: (index: number) => string,
) => Promise<string[]>;

export function createPublishEvents(
  { broker, subjectPrefix, ids, maxPayloadBytes }: Dependencies,
  organizations: Organizations,
): PublishEvents {
  return async (principal, events, fieldOf) => {
    const records = [];
    for (const [index, event] of events.entries()) {
      const field = fieldOf(index);
      const organizationId = requiredOrganizationOf(principal, event.organizationId, `${field}.organization_id`);
      await organizations.require(organizationId);
      checkPayload(event.dataJson, { field: `${field}.${event.dataField}`, maxPayloadBytes });
      records.push(eventRecord(event, { organizationId, field, ids }));
    }
    await broker.publish(records.map((record) => encodeEventMessage(record, subjectPrefix)));
    return records.map(({ id }) => id);
  };
}
