import type { IncomingMessage } from "../broker/broker.ts";
import { type DecodeOptions, decodeEventMessage } from "../broker/event-message.ts";
import type { Rejected } from "../broker/rejection.ts";
import type { EventRecord } from "../domain/event.ts";
import { eventKey } from "../store/sql/insert-events.ts";
import { createPacer } from "./pacer.ts";

/** An event and every message of the batch that carries it. */
export interface ReceivedEvent {
  /** `eventKey` of the record. */
  key: string;
  record: EventRecord;
  messages: IncomingMessage[];
  /** The place of the first of them in the broker's order. */
  sequence: number;
}

/** Decodes the messages, and tells of those that are no events. Two messages of one event become one. */
export async function receiveEvents(
  batch: readonly IncomingMessage[],
  options: DecodeOptions,
  onRejected: (message: IncomingMessage, rejected: Rejected) => void,
): Promise<ReceivedEvent[]> {
  const events = new Map<string, ReceivedEvent>();
  const pacer = createPacer(maxBlockingMs);
  for (const message of batch) {
    const decoded = decodeEventMessage(message, options);
    if (decoded.kind === "rejected") {
      onRejected(message, decoded);
    } else {
      add(events, decoded.event, message);
    }
    if (pacer.isDue()) {
      await pacer.pause();
    }
  }
  return [...events.values()];
}

/** Requests under way, and their deadlines, wait for a loop over a batch no longer than this. */
export const maxBlockingMs = 3;

function add(events: Map<string, ReceivedEvent>, record: EventRecord, message: IncomingMessage): void {
  const key = eventKey(record.organizationId, record.id);
  const received = events.get(key);
  if (received === undefined) {
    events.set(key, { key, record, messages: [message], sequence: message.sequence });
  } else {
    received.messages.push(message);
    received.sequence = Math.min(received.sequence, message.sequence);
  }
}
