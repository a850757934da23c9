import { encodeEventMessage } from "../broker/event-message.ts";
import type { EventRecord } from "../domain/event.ts";
import { TellwireError } from "../errors.ts";
import type { Principal } from "./access.ts";
import { checkedEvent, type PublishEventsParts } from "./checked-event.ts";
import { type CountedEvents, countEvents } from "./count-events.ts";
import type { NewEvent } from "./new-event.ts";

/**
 * Opens a way for a stream of events: they reach the broker in the order of the calls, and each is answered for itself, with its UUID when the
 * broker holds it durably. What comes while the broker is asked goes to it together, as one batch. Each call throws what PublishEvents throws;
 * after a BROKER_UNAVAILABLE the event may be held all the same.
 */
export type PublishInOrder = (principal: Principal) => PublishNext;

/** `field` names the event in the request. */
export type PublishNext = (event: NewEvent, field: string) => Promise<string>;

export function createPublishInOrder(parts: PublishEventsParts): PublishInOrder {
  return (principal) => {
    let waiting: Waiting[] = [];
    let isSending = false;

    async function sendAll(): Promise<void> {
      isSending = true;
      while (waiting.length > 0) {
        const batch = waiting;
        waiting = [];
        await send(parts, await countedOf(parts, await checkedOf(batch)));
      }
      isSending = false;
    }

    return (event, field) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      const record = checkedEvent(parts, principal, event, field);
      // It is awaited when its turn comes; until then nobody sees its failure.
      record.catch(() => {});
      waiting.push({ record, resolve, reject });
      if (!isSending) void sendAll();
      return promise;
    };
  };
}

interface Answer {
  resolve: (id: string) => void;
  reject: (error: unknown) => void;
}

interface Waiting extends Answer {
  record: Promise<EventRecord>;
}

interface Checked extends Answer {
  record: EventRecord;
}

interface Counted extends Checked, CountedEvents {}

/** Those that passed their checks, in their order; the others are answered. */
async function checkedOf(batch: readonly Waiting[]): Promise<Checked[]> {
  const checked: Checked[] = [];
  for (const { record, resolve, reject } of batch) {
    try {
      checked.push({ record: await record, resolve, reject });
    } catch (error) {
      reject(error);
    }
  }
  return checked;
}

/** Those that are not too many for their organization, in their order; the others are answered. */
async function countedOf(parts: PublishEventsParts, batch: readonly Checked[]): Promise<Counted[]> {
  const counted: Counted[] = [];
  for (const one of batch) {
    try {
      counted.push({ ...one, ...(await countEvents(parts, [one.record])) });
    } catch (error) {
      one.reject(error);
    }
  }
  return counted;
}

/** Answers each of them. Of a batch that the broker refuses because of its contents it holds none, and each goes by itself. */
async function send(parts: PublishEventsParts, batch: readonly Counted[]): Promise<void> {
  const { broker, subjectPrefix, publisherMark } = parts;
  if (batch.length === 0) return;
  try {
    await broker.publish(batch.map(({ record }) => encodeEventMessage(record, subjectPrefix, publisherMark)));
    for (const { record, resolve } of batch) resolve(record.id);
  } catch (error) {
    if (batch.length > 1 && error instanceof TellwireError && error.reason === "INVALID_FIELDS") {
      for (const one of batch) await send(parts, [one]);
      return;
    }
    for (const { reject, giveBack } of batch) {
      giveBack();
      reject(error);
    }
  }
}
