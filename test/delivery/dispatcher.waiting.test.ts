import { afterEach, beforeEach, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { createDispatcher, type DispatcherOptions } from "../../src/delivery/dispatcher.ts";
import type { FastPath } from "../../src/delivery/fast-path.ts";
import { createSubscriptions, type Subscriptions } from "../../src/delivery/subscriptions.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import type { Database } from "../../src/store/database.ts";
import { addOrganization, addWebhook, newEvent, testSecretBox } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { answering } from "./watched-sql.ts";

const url = "https://example.com/hook";

let database: Database;
let broker: Broker;
const closing: (() => Promise<unknown>)[] = [];

withOwnDatabase({ maxConnections: 8 }, (own) => {
  database = own;
});
beforeEach(async () => {
  broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  closing.push(() => broker.close());
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("the events of an organization whose webhooks take a while to be read do not wait for one whose webhooks take longer", async () => {
  const [quick, slow, slower] = [await newOrganization(), await newOrganization(), await newOrganization()];
  const gates = new Map([slow, slower].map((id) => [id, Promise.withResolvers<void>()]));
  const subscriptions = newSubscriptions();
  await publish(...[slower, slow, quick, slower, slow].map((each) => newEvent(each)));
  const { started, dispatcher, failures, rejections } = await dispatching({
    subscriptions: {
      ...subscriptions,
      cached: (id) => (gates.has(id) ? undefined : subscriptions.cached(id)),
      async of(id) {
        await gates.get(id)?.promise;
        return await subscriptions.of(id);
      },
    },
  });
  const isRead = (id: string) => {
    gates.get(id)?.resolve();
    gates.delete(id);
  };
  await waitFor(() => started.length === 1, { what: "the event of the quick one" });
  isRead(slow);
  await waitFor(() => started.length === 3, { what: "the events of the slow one" });
  expect(started).toEqual([quick, slow, slow]);
  isRead(slower);
  await waitFor(() => started.length === 5);
  await dispatcher.drain();
  expect({ failures, rejections }).toEqual({ failures: [], rejections: [] });
});

test("events that come with one which the database refuses, and then wait for room in memory, hold up no other event", async () => {
  const constraint = async (text: string) =>
    await database.sql.query({ name: "", text: `alter table event ${text}` }, []);
  await constraint("add constraint no_refused check (type <> 'refused')");
  closing.push(async () => await constraint("drop constraint no_refused"));
  const [crowded, beside, other] = [await newOrganization(), await newOrganization(), await newOrganization()];
  const batch = () => [newEvent(crowded), newEvent(beside, { type: "refused" }), newEvent(beside)];
  // More of such batches than are written at a time.
  await publish(...batch(), ...batch(), ...batch(), newEvent(other));
  let isFull = true;
  const { started, dispatcher, failures, rejections } = await dispatching({
    hasRoom: (id) => id !== crowded || !isFull,
    maxBatch: 3,
  });
  await waitFor(() => started.length === 4 && rejections.length === 3, { what: "everything but what has no room" });
  expect(started.toSorted()).toEqual([beside, beside, beside, other].toSorted());
  isFull = false;
  await waitFor(() => started.length === 7);
  await dispatcher.drain();
  expect(new Set(rejections)).toEqual(new Set(["REFUSED_BY_STORE"]));
  expect(failures).toEqual([]);
});

test("an event that waits for room in memory, with its first delivery or a later one, holds up no event of another organization", async () => {
  const [wide, behind, other] = [await newOrganization(), await newOrganization(), await newOrganization()];
  for (let more = 0; more < 2; more += 1) await addWebhook(database, wide, { url });
  const room = new Map([
    [wide, 1],
    [behind, 0],
    [other, 3],
  ]);
  const again = newEvent(other);
  await publish(again);
  const { started, dispatcher, failures } = await dispatching({
    hasRoom: (id) => count(started, id) < (room.get(id) ?? 0),
  });
  await waitFor(() => started.length === 1);
  await dispatcher.drain();
  await publish(newEvent(wide), newEvent(behind), newEvent(other), again);
  await waitFor(() => started.length === 4, { what: "what has room" });
  expect(started.toSorted()).toEqual([other, other, wide, other].toSorted());
  room.set(behind, 1);
  await waitFor(() => started.length === 5, { what: "what came behind it, and has room now" });
  expect(started.at(-1)).toBe(behind);
  room.set(wide, 3);
  await waitFor(() => started.length === 7);
  await dispatcher.drain();
  expect(count(started, wide)).toBe(3);
  expect(failures).toEqual([]);
});

test("where the statement that wrote the events has heard of all changes, nobody waits for the word of them", async () => {
  let asked = 0;
  const dispatchOne = async (hasHeard: boolean): Promise<void> => {
    const organizationId = await newOrganization();
    const { started, consumer } = await dispatching({
      sql: answering(database.sql, "insert-events", { has_heard: hasHeard }),
      async changesHeard() {
        asked += 1;
      },
      now: () => noon,
    });
    await publish(newEvent(organizationId));
    await waitFor(() => started.length === 1);
    await consumer.stop();
  };
  await dispatchOne(true);
  expect(asked).toBe(0);
  await dispatchOne(false);
  expect(asked).toBe(1);
});

/** At midnight events are written by other statements. */
const noon = new Date().setUTCHours(12, 0, 0, 0);

interface Dispatching extends Partial<Pick<DispatcherOptions, "sql" | "changesHeard" | "now">> {
  subscriptions?: Subscriptions;
  hasRoom?: (organizationId: string) => boolean;
  maxBatch?: number;
}

/** Everything is recorded as soon as it is started. `started`: the organizations of what was, in that order. */
async function dispatching({
  subscriptions = newSubscriptions(),
  hasRoom = () => true,
  maxBatch = 500,
  ...others
}: Dispatching = {}) {
  const started: string[] = [];
  const failures: unknown[] = [];
  const rejections: string[] = [];
  const fastPath: FastPath = {
    hasRoom,
    deliver({ subscription }, onRecorded) {
      started.push(subscription.organizationId);
      onRecorded();
    },
    unpark: () => {},
    isUnderWay: () => false,
    waiting: () => 0,
    drain: () => Promise.resolve(),
  };
  const options: DispatcherOptions = {
    broker,
    sql: database.sql,
    subscriptions,
    changesHeard: () => Promise.resolve(),
    fastPath,
    maxPayloadBytes: 262_144,
    subjectPrefix: "tellwire",
    now: Date.now,
    settlingMs: 0,
    repeatSettlingMs: 0,
    onReceived: () => {},
    onRejected: (_message, reason) => void rejections.push(reason),
    onFailure: (error) => void failures.push(error),
    ...others,
  };
  const dispatcher = createDispatcher(options);
  const limits = { maxBatch, maxUnacknowledged: 2_000, maxUnacknowledgedBytes: 1e8 };
  const consumer = await broker.consume(limits, dispatcher.handle);
  closing.push(() => consumer.stop());
  return { started, dispatcher, consumer, failures, rejections };
}

function count(started: readonly string[], organizationId: string): number {
  return started.filter((each) => each === organizationId).length;
}

async function newOrganization(): Promise<string> {
  const organizationId = await addOrganization(database);
  await addWebhook(database, organizationId, { url });
  return organizationId;
}

async function publish(...events: EventRecord[]): Promise<void> {
  await broker.publish(events.map((event) => encodeEventMessage(event)));
}

function newSubscriptions(): Subscriptions {
  return createSubscriptions({
    sql: database.sql,
    secretBox: testSecretBox,
    defaultPolicy: DEFAULT_RETRY_POLICY,
    requestOrigin: "tellwire.test",
    maxAgeMs: 300_000,
    maxWebhooks: 10_000,
  });
}
