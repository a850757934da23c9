import { encodeEventMessage } from "../broker/event-message.ts";
import type { EventRecord } from "../domain/event.ts";
import type { Principal } from "./access.ts";
import { checkedEvent, type PublishEventsParts } from "./checked-event.ts";
import { countEvents } from "./count-events.ts";
import type { NewEvent } from "./new-event.ts";

/**
 * Publishes events, all or none of them where one is refused, and answers with their UUIDs in order when the broker holds them durably.
 * `fieldOf` names an event in the request, such as `events[3]`. Throws INVALID_FIELDS, ORGANIZATION_REQUIRED, ORGANIZATION_NOT_FOUND,
 * RATE_LIMITED and QUOTA_EXCEEDED where they are too many for their organization, and BROKER_UNAVAILABLE, after which some of the events may be held: publishing them again with the same ids delivers nothing twice.
 */
export type PublishEvents = (
  principal: Principal,
  events: readonly NewEvent[],
  fieldOf: (index: number) => string,
) => Promise<string[]>;

export function createPublishEvents(parts: PublishEventsParts): PublishEvents {
  const { broker, subjectPrefix, publisherMark } = parts;
  return async (principal, events, fieldOf) => {
    const records: EventRecord[] = [];
    for (const [index, event] of events.entries()) {
      records.push(await checkedEvent(parts, principal, event, fieldOf(index)));
    }
    const counted = await countEvents(parts, records);
    try {
      await broker.publish(records.map((record) => encodeEventMessage(record, subjectPrefix, publisherMark)));
    } catch (error) {
      counted.giveBack();
      throw error;
    }
    return records.map(({ id }) => id);
  };
}
