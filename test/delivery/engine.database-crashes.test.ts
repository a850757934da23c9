import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openJetStream } from "../../src/broker/jetstream.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { Database } from "../../src/store/database.ts";
import {
  addOrganization,
  addWebhook,
  attemptsOf,
  createTestEngine,
  deliveriesOf,
  newEvent,
  type TestEngine,
  type TestEngineOptions,
} from "../support/engine.ts";
import { loseDatabaseMemory } from "../support/lose-database-memory.ts";
import { removeStreams, uniqueNatsNames } from "../support/nats.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { watched } from "./watched-sql.ts";

/** Longer than a slow machine takes for a test: nothing is handed to a lane for its time alone. */
const patient = { limits: { budgetMs: 600_000 } };

describe.each(["the Postgres broker", "JetStream"])("on %s", (kind) => {
  const names = uniqueNatsNames();
  const url = inject("natsUrl");
  let testDatabase: TestDatabase;
  let database: Database;
  let broker: Broker;
  let organizationId: string;
  const engines: TestEngine[] = [];
  const receivers: Receiver[] = [];

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = await openTestPostgres(testDatabase.url, { maxConnections: 8 });
    broker =
      kind === "JetStream"
        ? await openJetStream({ url, ...names, timeoutMs: 60_000, log: silentBrokerLog })
        : await openPostgresBroker(database.sql, { log: silentBrokerLog });
  });
  afterAll(async () => {
    await broker.close();
    if (kind === "JetStream") await removeStreams(url, names);
    await database.close();
    await testDatabase.drop();
  });
  beforeEach(async () => {
    organizationId = await addOrganization(database);
  });
  afterEach(async () => {
    await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
    await Promise.all(engines.splice(0).map((engine) => engine.stop()));
  });

  const prefix = kind === "JetStream" ? { subjectPrefix: names.subjectPrefix } : {};
  const start = async (options: Partial<TestEngineOptions>): Promise<TestEngine> => {
    const created = createTestEngine({ database, broker, ...prefix, ...options });
    engines.push(created);
    await created.engine.start();
    return created;
  };
  const publishOne = async (event = newEvent(organizationId)) => {
    await broker.publish([encodeEventMessage(event, prefix.subjectPrefix)]);
    return event;
  };
  const receiver = async (respond: Respond): Promise<Receiver> => {
    const started = await startReceiver(respond);
    receivers.push(started);
    return started;
  };
  const everythingAcknowledged = () =>
    waitFor(
      async () => {
        const { through, last } = await broker.recordedThrough();
        return through === last;
      },
      { what: "the acknowledgement of every message" },
    );
  const isStored = async (id: string) =>
    (await database.sql.query({ name: "", text: "select from event where id = $1" }, [id])).length > 0;

  test.each([
    ["failed", 500],
    ["succeeded", 200],
  ])(
    "an event that is lost in a crash of the database during a request that %s comes again, and is on record when it is acknowledged",
    async (_what, status) => {
      const answer = Promise.withResolvers<{ status: number }>();
      const held = await receiver((_request, index) => (index === 0 ? answer.promise : { status: 200 }));
      const { webhook } = await addWebhook(database, organizationId, { url: held.url, retryDelaysMs: [600_000] });
      const { failures } = await start(patient);
      const { id } = await publishOne();
      await waitFor(() => held.requests.length === 1, { what: "the first request" });
      expect(await isStored(id)).toBe(true);
      await loseDatabaseMemory(database, [id]);
      answer.resolve({ status });
      await waitFor(() => held.requests.length === 2, { what: "the event that comes again" });
      await everythingAcknowledged();
      expect(await isStored(id)).toBe(true);
      const deliveries = await deliveriesOf(database, webhook.id);
      expect(deliveries.map((delivery) => delivery.status)).toEqual(
        status === 200 ? ["DELIVERED", "DELIVERED"] : ["DELIVERED"],
      );
      expect(failures).toEqual([expect.objectContaining({ message: expect.stringContaining("the database crashed") })]);
    },
  );

  test("an event that survives a crash of the database, and was delivered meanwhile, comes again and is not sent again", async () => {
    const answer = Promise.withResolvers<{ status: number }>();
    const held = await receiver((_request, index) => (index === 0 ? answer.promise : { status: 200 }));
    const { webhook } = await addWebhook(database, organizationId, { url: held.url });
    const { failures } = await start(patient);
    await publishOne();
    await waitFor(() => held.requests.length === 1, { what: "the request" });
    await loseDatabaseMemory(database, []);
    answer.resolve({ status: 200 });
    await waitFor(() => failures.length === 1, { what: "the doubt" });
    await everythingAcknowledged();
    expect(await deliveriesOf(database, webhook.id)).toMatchObject([{ status: "DELIVERED", attemptCount: 1 }]);
    expect(held.requests).toHaveLength(1);
  });

  test.each([
    ["lost in", true],
    ["in doubt after", false],
  ])(
    "an event that nobody wants and that is %s a crash of the database comes again, and is on record when it is acknowledged",
    async (_what, isLost) => {
      const flushes: (boolean | string)[] = [];
      const event = newEvent(organizationId);
      const { id } = event;
      const sql = watched(database.sql, {
        async "flush-incarnation"() {
          if (flushes.length === 0) {
            flushes.push(await isStored(id));
            await loseDatabaseMemory(database, isLost ? [id] : []);
          }
          flushes.push(await isStored(id));
        },
      });
      const received: number[] = [];
      const observer = { received: (events: number) => void received.push(events) };
      await start({ database: { ...database, sql }, observer });
      await publishOne(event);
      await everythingAcknowledged();
      expect(await isStored(id)).toBe(true);
      expect(flushes).toEqual([true, !isLost, true]);
      expect(sum(received)).toBe(isLost ? 2 : 1);
    },
  );

  test("where events that nobody wants cannot be made safe, they come again, and the failure is told of once", async () => {
    let isAway = true;
    const published = 10;
    const sql = watched(database.sql, {
      async "flush-incarnation"() {
        if (isAway) throw new Error("the database is away");
      },
    });
    const received: number[] = [];
    const observer = { received: (events: number) => void received.push(events) };
    const events = Array.from({ length: published }, () =>
      encodeEventMessage(newEvent(organizationId), prefix.subjectPrefix),
    );
    await broker.publish(events);
    const { failures } = await start({ database: { ...database, sql }, observer });
    await waitFor(() => sum(received) === published && failures.length > 0, { what: "the failure" });
    isAway = false;
    await everythingAcknowledged();
    // Of each statement that failed, and not of each event.
    expect(failures.length).toBeLessThan(published);
  });

  test("the late outcome of a delivery that was handed to its lane is recorded after a crash of the database, too: its event was safe", async () => {
    const answer = Promise.withResolvers<{ status: number }>();
    const slow = await receiver(() => answer.promise);
    const { webhook } = await addWebhook(database, organizationId, { url: slow.url, timeoutMs: 300_000 });
    const recorded: number[] = [];
    const observer = { recorded: (outcomes: number) => void recorded.push(outcomes) };
    const { failures } = await start({ limits: { budgetMs: 100 }, observer });
    await publishOne();
    await waitFor(() => sum(recorded) === 1, { what: "the hand-over" });
    expect(await deliveriesOf(database, webhook.id)).toMatchObject([{ status: "SCHEDULED", attemptCount: 0 }]);
    expect(slow.requests).toHaveLength(1);
    await loseDatabaseMemory(database, []);
    answer.resolve({ status: 200 });
    const [delivery] = await waitFor(
      async () => {
        const deliveries = await deliveriesOf(database, webhook.id);
        return deliveries[0]?.status === "SCHEDULED" ? undefined : deliveries;
      },
      { what: "the outcome" },
    );
    expect(delivery).toMatchObject({ status: "DELIVERED", attemptCount: 1 });
    expect(await attemptsOf(database, delivery!.id)).toHaveLength(1);
    expect(slow.requests).toHaveLength(1);
    expect(failures).toEqual([]);
    await everythingAcknowledged();
  });
});

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
