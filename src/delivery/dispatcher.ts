import type { Broker, IncomingMessage, RejectReason } from "../broker/broker.ts";
import { decodeEventMessage } from "../broker/event-message.ts";
import type { EventRecord } from "../domain/event.ts";
import { deliveryIdOf } from "../domain/ids.ts";
import { outgoingEvent } from "../domain/outgoing-event.ts";
import { isAboutContent } from "../store/is-about-content.ts";
import { eventKey, insertEvents } from "../store/sql/insert-events.ts";
import { knownEvents } from "../store/sql/known-events.ts";
import type { Sql } from "../store/sql.ts";
import type { FastPath } from "./fast-path.ts";
import { type OrganizationSubscriptions, type Subscriptions, wants } from "./subscriptions.ts";

/**
 * Takes batches of messages from the broker, writes their events, and starts the deliveries that they cause. A message is acknowledged
 * when every one of its deliveries is recorded; whatever fails on our side leaves it with the broker.
 */
export interface Dispatcher {
  handle(batch: readonly IncomingMessage[]): void;
  /** Resolves when every batch handed in so far is acknowledged or given back. */
  drain(): Promise<void>;
}

export interface DispatcherOptions {
  broker: Broker;
  sql: Sql;
  subscriptions: Subscriptions;
  fastPath: FastPath;
  maxPayloadBytes: number;
  subjectPrefix: string;
  now: () => number;
  /** How long another process may be at an event before its deliveries are recorded. */
  settlingMs: number;
  onReceived: (events: number) => void;
  onRejected: (message: IncomingMessage, reason: RejectReason, detail: string) => void;
  /** Our side failed: the messages stay with the broker, and come again. */
  onFailure: (error: unknown, messages: number) => void;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const handling = new Set<Promise<void>>();
  return {
    handle(batch) {
      const handled = dispatch(options, batch).catch((error) => giveBack(options, batch, error));
      handling.add(handled);
      void handled.finally(() => handling.delete(handled));
    },
    async drain() {
      await Promise.all(handling);
    },
  };
}

/** An event and every message of the batch that carries it. */
interface ReceivedEvent {
  record: EventRecord;
  organization: OrganizationSubscriptions;
  messages: IncomingMessage[];
}

/** Messages that our failure sends back are not asked for again at once: what failed wants a moment. */
const giveBackDelayMs = 1_000;

async function dispatch(options: DispatcherOptions, batch: readonly IncomingMessage[]): Promise<void> {
  const events = await receive(options, batch);
  if (events.length > 0) {
    await writeAndStart(options, events);
  }
}

/** What the database cannot take for its content is found by halving, and given back alone: it holds up no other event. */
async function writeAndStart(options: DispatcherOptions, events: readonly ReceivedEvent[]): Promise<void> {
  const receivedAt = options.now();
  const records = events.map(({ record }) => record);
  let isNew: ReadonlySet<string>;
  try {
    isNew = await insertEvents(options.sql, records, new Date(receivedAt));
  } catch (error) {
    if (events.length === 1 || !isAboutContent(error)) {
      giveBack(options, messagesOf(events), error);
      return;
    }
    const middle = Math.ceil(events.length / 2);
    await writeAndStart(options, events.slice(0, middle));
    await writeAndStart(options, events.slice(middle));
    return;
  }
  options.onReceived(isNew.size);
  const [fresh, again] = partition(events, ({ record }) => isNew.has(eventKey(record.organizationId, record.id)));
  const starting = fresh.map((event) => start(options, event, { receivedAt, recorded: none, isSettling: false }));
  if (again.length > 0) {
    starting.push(startKnown(options, again).catch((error) => giveBack(options, messagesOf(again), error)));
  }
  await Promise.all(starting);
}

const none: ReadonlySet<string> = new Set();

function messagesOf(events: readonly ReceivedEvent[]): IncomingMessage[] {
  return events.flatMap(({ messages }) => messages);
}

/** Decodes the messages. Those that nobody can understand are rejected; two messages of one event become one. */
async function receive(options: DispatcherOptions, batch: readonly IncomingMessage[]): Promise<ReceivedEvent[]> {
  const events = new Map<string, ReceivedEvent>();
  for (const message of batch) {
    const decoded = decodeEventMessage(message, options);
    if (decoded.kind === "rejected") {
      await reject(options, message, decoded.reason, decoded.detail);
      continue;
    }
    const record = decoded.event;
    const key = eventKey(record.organizationId, record.id);
    const received = events.get(key);
    if (received !== undefined) {
      received.messages.push(message);
      continue;
    }
    const organization = await organizationOf(options, record.organizationId, message);
    if (organization !== undefined) {
      events.set(key, { record, organization, messages: [message] });
    }
  }
  return [...events.values()];
}

/** Undefined where the message has been dealt with: rejected, or given back because of a failure that concerns this organization alone. */
async function organizationOf(
  options: DispatcherOptions,
  organizationId: string,
  message: IncomingMessage,
): Promise<OrganizationSubscriptions | undefined> {
  try {
    const organization = await options.subscriptions.of(organizationId);
    if (organization === undefined) {
      await reject(options, message, "UNKNOWN_ORGANIZATION", `there is no organization ${organizationId}`);
    }
    return organization;
  } catch (error) {
    giveBack(options, [message], error);
    return undefined;
  }
}

async function reject(
  { broker, onRejected }: DispatcherOptions,
  message: IncomingMessage,
  reason: RejectReason,
  detail: string,
): Promise<void> {
  await broker.reject(message, reason, detail);
  onRejected(message, reason, detail);
}

/** The event that was received first stands, whatever this one says; only the deliveries that are missing are started. */
async function startKnown(options: DispatcherOptions, again: readonly ReceivedEvent[]): Promise<void> {
  const known = await knownEvents(
    options.sql,
    again.map(({ record }) => record.id),
    again.map(({ record }) => record.organizationId),
  );
  const byKey = new Map(known.map((found) => [eventKey(found.event.organizationId, found.event.id), found]));
  const now = options.now();
  await Promise.all(
    again.map((event) => {
      const found = byKey.get(eventKey(event.record.organizationId, event.record.id));
      if (found === undefined) {
        return giveBack(options, event.messages, new Error(`event ${event.record.id} was there, and is gone`));
      }
      const { receivedAt, deliveryIds: recorded } = found;
      // Of another process's clock, which may be ahead.
      const isSettling = Math.abs(now - receivedAt) < options.settlingMs;
      return start(options, { ...event, record: found.event }, { receivedAt, recorded, isSettling });
    }),
  );
}

/** What is known of an event's deliveries before they are started. */
interface Standing {
  receivedAt: number;
  /** The ids of the deliveries that are recorded. */
  recorded: ReadonlySet<string>;
  /** The event came first a moment ago, by another message: whoever has that one may have the others under way, in another process. */
  isSettling: boolean;
}

/** Starts the deliveries that are not recorded yet, and acknowledges the event's messages when all of them are. */
async function start(
  options: DispatcherOptions,
  { record, organization, messages }: ReceivedEvent,
  { receivedAt, recorded, isSettling }: Standing,
): Promise<void> {
  const event = outgoingEvent(record);
  const deliveries: Promise<void>[] = [];
  let elsewhere = false;
  for (const subscription of organization.byEventType.match(record.type)) {
    const deliveryId = deliveryIdOf(record.id, subscription.webhookId);
    if (!wants(subscription, record.projectId, receivedAt) || recorded.has(deliveryId)) {
      continue;
    }
    if (isSettling || options.fastPath.isUnderWay(deliveryId)) {
      elsewhere = true;
      continue;
    }
    const createdAt = options.now();
    deliveries.push(
      options.fastPath.deliver({ deliveryId, event, subscription, attemptCount: 0, manualRetry: null, createdAt }),
    );
  }
  try {
    await Promise.all(deliveries);
  } catch (error) {
    giveBack(options, messages, error);
    return;
  }
  for (const message of messages) {
    // What another message of this event has under way is recorded with that one; this one comes again, and finds it.
    if (elsewhere) {
      message.nak(giveBackDelayMs);
    } else {
      message.ack();
    }
  }
}

function giveBack({ onFailure }: DispatcherOptions, messages: readonly IncomingMessage[], error: unknown): void {
  for (const message of messages) {
    message.nak(giveBackDelayMs);
  }
  onFailure(error, messages.length);
}

function partition<Item>(items: readonly Item[], test: (item: Item) => boolean): [Item[], Item[]] {
  const passed: Item[] = [];
  const others: Item[] = [];
  for (const item of items) {
    (test(item) ? passed : others).push(item);
  }
  return [passed, others];
}
