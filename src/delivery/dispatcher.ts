import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { ackWaitMs, type Broker, type IncomingMessage, type RejectReason } from "../broker/broker.ts";
import { messageWithoutValues } from "../domain/message-without-values.ts";
import { createSharedRead } from "../domain/shared-read.ts";
import { isAboutContent } from "../store/is-about-content.ts";
import { flushIncarnation, nameIncarnation } from "../store/sql/incarnation.ts";
import {
  createEventInserter,
  eventKey,
  type InsertEvents,
  type InsertedEvents,
  rememberedSince,
} from "../store/sql/insert-events.ts";
import { knownEvents } from "../store/sql/known-events.ts";
import type { Sql } from "../store/sql.ts";
import { admittedOf, type EventAdmission } from "./event-admission.ts";
import type { FastPath } from "./fast-path.ts";
import { createGathering } from "./gathering.ts";
import { createHeldMessages } from "./held-messages.ts";
import type { OrganizationSubscriptions } from "./organization-subscriptions.ts";
import { createPacer } from "./pacer.ts";
import { maxBlockingMs, type ReceivedEvent, receiveEvents } from "./receive-events.ts";
import { giveBack, reject, type Settling, settle } from "./settle-messages.ts";
import {
  type CrowdedDeliveries,
  type Standing,
  type Started,
  startCrowded,
  startDeliveries,
} from "./start-deliveries.ts";
import type { Subscriptions } from "./subscriptions.ts";

/**
 * Takes batches of messages from the broker, writes their events, and starts the deliveries that they cause. A message is acknowledged
 * when every one of its deliveries is recorded; whatever fails on our side leaves it with the broker.
 */
export interface Dispatcher {
  handle(batch: readonly IncomingMessage[]): void;
  /** Resolves when every message handed in so far is acknowledged or given back. */
  drain(): Promise<void>;
}

export interface DispatcherOptions {
  broker: Broker;
  sql: Sql;
  subscriptions: Subscriptions;
  /**
   * Resolves when every change of webhooks that was committed before the call has invalidated its organization; rejects where changes cannot
   * be heard at the moment.
   */
  changesHeard: () => Promise<void>;
  fastPath: FastPath;
  maxPayloadBytes: number;
  subjectPrefix: string;
  now: () => number;
  /** How long another process may be at an event before its deliveries are recorded. */
  settlingMs: number;
  /**
   * The same where the event was published again after it was received: its first message is with somebody who has not acknowledged it, or will come
   * again. So this one can wait for longer than a database may be away, and than the broker waits for whoever has the first one.
   */
  repeatSettlingMs: number;
  /** Says which events are too many. Left out: none is. */
  admission?: EventAdmission;
  /** How often the broker is told that messages are still in work. */
  workingIntervalMs?: number;
  onReceived: (events: number) => void;
  onRejected: (message: IncomingMessage, reason: RejectReason, detail: string) => void;
  /** Our side failed: the messages stay with the broker, and come again. */
  onFailure: (error: unknown, messages: number) => void;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const held = createHeldMessages(options.workingIntervalMs ?? ackWaitMs / 3);
  const write = createGathering<ReceivedEvent>({
    maxAtOnce: maxWriting,
    maxBatch: maxWritten,
    paceMs: writingPaceMs,
    enough: enoughToWrite,
    keyOf: ({ key }) => key,
    work: (events, onWritten) =>
      writeAndStart(context, events, onWritten).catch((error) => giveBack(context, messagesOf(events), error)),
  });
  const { sql, onFailure } = options;
  // Told of once for all who wait for it, who each have messages that come again.
  const told = (error: unknown): never => {
    onFailure(error, 0);
    throw error;
  };
  const context: Context = {
    ...options,
    held,
    insertEvents: createEventInserter(sql),
    write,
    flush: createSharedRead(flushPaceMs, () => flushIncarnation(sql).catch(told)),
    nameIncarnation: createSharedRead(0, () => nameIncarnation(sql)),
  };
  return {
    handle(batch) {
      context.held.hold(batch);
      dispatch(context, batch).catch((error) => giveBack(context, batch, error));
    },
    drain: context.held.whenEmpty,
  };
}

interface Context extends DispatcherOptions, Pick<Settling, "held" | "flush"> {
  insertEvents: InsertEvents;
  write: (events: readonly ReceivedEvent[]) => void;
  nameIncarnation: () => Promise<void>;
}

/**
 * Statements at a time that write events. A statement takes as long as a commit, in which others come: two at a time keep the database busy, and leave
 * it fewer and larger ones.
 */
const maxWriting = 2;
/** Events in one statement. */
const maxWritten = 500;
/** Short beside what an event takes, and long enough for statements of ten events where one comes each third of a millisecond. */
const writingPaceMs = 3;
const enoughToWrite = 100;
/** How far apart the events that nobody wants are made safe: those of a few hundredths of a second at a time. */
const flushPaceMs = 20;

async function dispatch(context: Context, batch: readonly IncomingMessage[]): Promise<void> {
  const events = await receiveEvents(batch, context, (message, { reason, detail }) =>
    reject(context, message, reason, detail),
  );
  await withOrganizations(context, events, async (some, found) => {
    const known = ofKnownOrganizations(context, some, found);
    context.write(
      await admittedOf(known, context, (message, { reason, detail }) => reject(context, message, reason, detail)),
    );
  });
}

/** The others are rejected, or given back where the organization could not be read. */
function ofKnownOrganizations(
  context: Context,
  events: readonly ReceivedEvent[],
  { organizations, unread, error }: FoundOrganizations,
): ReceivedEvent[] {
  const known: ReceivedEvent[] = [];
  const waiting: IncomingMessage[] = [];
  for (const event of events) {
    const { organizationId } = event.record;
    if (organizations.has(organizationId)) {
      known.push(event);
    } else if (unread.has(organizationId)) {
      waiting.push(...event.messages);
    } else {
      for (const message of event.messages) {
        reject(context, message, "UNKNOWN_ORGANIZATION", `there is no organization ${organizationId}`);
      }
    }
  }
  if (waiting.length > 0) {
    giveBack(context, waiting, error);
  }
  return known;
}

interface FoundOrganizations {
  organizations: Map<string, OrganizationSubscriptions>;
  /** Those that could not be read, and the first reason. */
  unread: Set<string>;
  error: unknown;
}

type Work = (events: readonly ReceivedEvent[], found: FoundOrganizations) => Promise<void>;

/**
 * Does the work on events whose organizations are in memory. What is not is read together, and what takes long to read, such as an organization
 * with very many webhooks, holds up no event of the others: its own follow when it is here, and nobody waits for them. Where the work fails, its
 * messages are given back.
 */
async function withOrganizations(context: Context, events: readonly ReceivedEvent[], work: Work): Promise<void> {
  const found: FoundOrganizations = { organizations: new Map(), unread: new Set(), error: undefined };
  /** What is still being read, by organization. */
  const reading = new Map<string, Promise<void>>();
  for (const organizationId of inMemory(context, events, found.organizations)) {
    reading.set(
      organizationId,
      read(context, organizationId, found).then(() => void reading.delete(organizationId)),
    );
  }
  const workOn = async (some: readonly ReceivedEvent[]): Promise<void> => {
    const late = some.filter(({ record }) => reading.has(record.organizationId));
    if (late.length > 0) {
      // With those that are read at the same moment.
      void Promise.race(reading.values())
        .then(() => nextTurn())
        .then(() => workOn(late));
    }
    const here = late.length === 0 ? some : some.filter(({ record }) => !reading.has(record.organizationId));
    await work(here, found).catch((error) => giveBack(context, messagesOf(here), error));
  };
  if (reading.size > 0) {
    await Promise.race([Promise.all(reading.values()), delay(readPatienceMs)]);
  }
  await workOn(events);
}

/** Longer than organizations take to be read as a rule, so that a batch stays together, and short beside what a delivery may take. */
const readPatienceMs = 50;

/** Puts what is in memory into the map, and returns the others. */
function inMemory(
  { subscriptions }: Context,
  events: readonly ReceivedEvent[],
  organizations: FoundOrganizations["organizations"],
): Set<string> {
  const missing = new Set<string>();
  for (const { record } of events) {
    const { organizationId } = record;
    if (!organizations.has(organizationId) && !missing.has(organizationId)) {
      const organization = subscriptions.cached(organizationId);
      if (organization === undefined) {
        missing.add(organizationId);
      } else {
        organizations.set(organizationId, organization);
      }
    }
  }
  return missing;
}

/** Never rejects. One that does not exist is neither found nor unread. */
async function read({ subscriptions }: Context, organizationId: string, found: FoundOrganizations): Promise<void> {
  try {
    const organization = await subscriptions.of(organizationId);
    if (organization !== undefined) {
      found.organizations.set(organizationId, organization);
    }
  } catch (error) {
    if (found.unread.size === 0) {
      found.error = error;
    }
    found.unread.add(organizationId);
  }
}

/**
 * What the database cannot take for its content is found by halving, and rejected alone: it holds up no other event, and does not come again.
 * `onWritten` is called when nothing is left to write, whatever came of it.
 */
async function writeAndStart(context: Context, events: readonly ReceivedEvent[], onWritten: () => void): Promise<void> {
  const receivedAt = Math.floor(context.now());
  const oldest = oldestPublishedAt(events, receivedAt);
  let inserted: InsertedEvents;
  try {
    const records = events.map(({ record }) => record);
    inserted = await context.insertEvents(records, new Date(receivedAt), oldest);
  } catch (error) {
    await notWritten(context, events, error, onWritten);
    return;
  }
  const { known, storedIn, hasHeard } = inserted;
  if (storedIn === undefined) {
    context.nameIncarnation().catch((error) => context.onFailure(error, 0));
  }
  onWritten();
  context.onReceived(events.length - known.size);
  // A webhook that was activated before its event was published is found, however late the word of it comes.
  if (!hasHeard) await context.changesHeard().catch(context.subscriptions.invalidateAll);
  const fresh = events.filter(({ key }) => !known.has(key));
  const again = events.filter(({ key }) => known.has(key));
  const starting = [start(context, fresh, () => ({ receivedAt, eventIn: storedIn, before: undefined }))];
  if (again.length > 0) {
    const since = rememberedSince(new Date(receivedAt), oldest);
    starting.push(startKnown(context, again, since).catch((error) => giveBack(context, messagesOf(again), error)));
  }
  await Promise.all(starting);
}

async function notWritten(
  context: Context,
  events: readonly ReceivedEvent[],
  error: unknown,
  onWritten: () => void,
): Promise<void> {
  if (isAboutContent(error) && events.length > 1) {
    const middle = Math.ceil(events.length / 2);
    const { promise: firstIsWritten, resolve: onFirstWritten } = Promise.withResolvers<void>();
    const first = writeAndStart(context, events.slice(0, middle), onFirstWritten);
    // Its deliveries may wait for room in memory, which holds up no other event.
    await Promise.race([first, firstIsWritten]);
    await Promise.all([first, writeAndStart(context, events.slice(middle), onWritten)]);
    return;
  }
  onWritten();
  if (isAboutContent(error)) {
    for (const message of messagesOf(events)) {
      reject(context, message, "REFUSED_BY_STORE", `the database cannot hold it: ${messageWithoutValues(error)}`);
    }
  } else {
    giveBack(context, messagesOf(events), error);
  }
}

/** The event that was received first stands, whatever this one says; only the deliveries that are missing are started. */
async function startKnown(context: Context, again: readonly ReceivedEvent[], since: Date): Promise<void> {
  const eventIds = again.map(({ record }) => record.id);
  const organizationIds = again.map(({ record }) => record.organizationId);
  const known = await knownEvents(context.sql, eventIds, organizationIds, since);
  const standings = new Map<string, Standing>();
  const events: ReceivedEvent[] = [];
  const received = new Map(again.map((event) => [event.key, event]));
  const now = context.now();
  for (const { event: record, receivedAt, deliveryIds, storedIn } of known) {
    const key = eventKey(record.organizationId, record.id);
    const event = received.get(key);
    if (event !== undefined) {
      received.delete(key);
      const isRepeat = event.messages.every(({ publishedAt }) => publishedAt.getTime() > receivedAt);
      const settlingMs = isRepeat ? context.repeatSettlingMs : context.settlingMs;
      // Of another process's clock, which may be ahead.
      const isSettling = Math.abs(now - receivedAt) < settlingMs;
      standings.set(event.key, { receivedAt, eventIn: storedIn, before: { recorded: deliveryIds, isSettling } });
      events.push({ ...event, record });
    }
  }
  for (const { record, messages } of received.values()) {
    giveBack(context, messages, new Error(`event ${record.id} was there, and is gone`));
  }
  await start(context, events, ({ key }) => standings.get(key));
}

/** Starts the deliveries of events that are written, and acknowledges their messages when all are recorded. */
async function start(
  context: Context,
  events: readonly ReceivedEvent[],
  standingOf: (event: ReceivedEvent) => Standing | undefined,
): Promise<void> {
  await withOrganizations(context, events, async (some, { organizations, unread, error }) => {
    const waiting: IncomingMessage[] = [];
    const crowded: CrowdedDeliveries[] = [];
    const pacer = createPacer(maxBlockingMs);
    for (const event of some) {
      const { record, messages } = event;
      const { organizationId } = record;
      const organization = organizations.get(organizationId);
      const standing = standingOf(event);
      const onEnd = (started: Started) => settle(context, messages, { started, eventIn: standing?.eventIn });
      if (unread.has(organizationId)) {
        waiting.push(...messages);
      } else if (organization === undefined || standing === undefined) {
        // The organization is gone, and with it whoever wanted the event.
        onEnd({ kind: "none" });
      } else {
        const startMore = startDeliveries(context.fastPath, event, { organization, standing, pacer }, onEnd);
        // What has room goes first.
        if (!(await startMore())) crowded.push({ organizationId, startMore });
      }
      if (pacer.isDue()) {
        await pacer.pause();
      }
    }
    if (waiting.length > 0) {
      giveBack(context, waiting, error);
    }
    await startCrowded(context.fastPath, crowded);
  });
}

function messagesOf(events: readonly ReceivedEvent[]): IncomingMessage[] {
  return events.flatMap(({ messages }) => messages);
}

function oldestPublishedAt(events: readonly ReceivedEvent[], receivedAt: number): Date {
  let oldest = receivedAt;
  for (const { messages } of events) {
    for (const { publishedAt } of messages) {
      oldest = Math.min(oldest, publishedAt.getTime());
    }
  }
  return new Date(oldest);
}
