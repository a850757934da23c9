import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Event, EventSchema } from "../../gen/tellwire/v1/event_pb.ts";
import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { hasPublisherMark } from "../../src/broker/publisher-mark.ts";
import { unlimited } from "../../src/domain/limits.ts";
import { TellwireError } from "../../src/errors.ts";
import {
  addPublishedEvents,
  publishedEventsSince,
  removePublishedEvents,
} from "../../src/store/sql/published-events.ts";
import type { Sql } from "../../src/store/sql.ts";
import type { AccessChannel } from "../../src/usecases/access-channel.ts";
import { createPublishingLimits, type PublishingLimits } from "../../src/usecases/publishing-limits.ts";
import { createUseCases } from "../../src/usecases/use-cases.ts";
import { type Clients, errorOf, startApi, type TestApi } from "../api/start-api.ts";
import { operator } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";

const mark = "the-mark-of-the-tests";
const noon = Date.UTC(2026, 4, 1, 12);

let api: TestApi;
let now = noon;
let published: OutgoingMessage[];
let isBrokerAway = false;
beforeAll(async () => {
  api = await startApi({
    ids: { now: () => now, randomBytes: (size) => crypto.getRandomValues(Buffer.alloc(size)) },
    publisherMark: mark,
    limits: { defaults: unlimited, failedLogins: null, onRefused: () => {}, onWrongKeys: () => {} },
  });
  const { publish } = api.broker;
  Object.assign(api.broker, {
    publish: async (messages) => {
      if (isBrokerAway) throw new TellwireError("BROKER_UNAVAILABLE", "the test keeps it away");
      await publish(messages);
      published.push(...messages);
    },
  } satisfies Partial<Broker>);
});
beforeEach(() => {
  published = [];
  now = noon;
});
afterAll(async () => {
  await api.close();
});

interface Tenant {
  id: string;
  clients: Clients;
}

async function tenantWith(limits: {
  eventsPerDay?: number;
  events?: { count: number; periodMs: number };
}): Promise<Tenant> {
  const { id, projectIds: _, ...rest } = await api.useCases.organizations.create(operator, { name: "Acme", limits });
  expect(rest.limits).toEqual(limits);
  const { key } = await api.operator.organizations.createApiKey({ organizationId: id, apiKey: {} });
  return { id, clients: api.clients({ "x-api-key": key }) };
}

/** What the limits would say, without a trace. */
function refusalOf(limits: PublishingLimits, id: string, events: number): string | undefined {
  const refusal = limits.take(id, events, now);
  if (refusal === undefined) limits.giveBack(id, events, now);
  return refusal?.reason;
}

const event = (): Event => create(EventSchema, { type: "order.paid", dataJson: Buffer.from("{}") });
const batchOf = (size: number) => ({ events: Array.from({ length: size }, event) });

test("a day's quota is for all events of the day, and of a batch that does not fit none is published", async () => {
  const { clients } = await tenantWith({ eventsPerDay: 10 });
  await clients.events.publishEvents(batchOf(7));
  const refused = await errorOf(clients.events.publishEvents(batchOf(4)));
  expect(refused).toMatchObject({
    code: Code.ResourceExhausted,
    reason: "QUOTA_EXCEEDED",
    metadata: { quota: "events-per-day", limit: "10" },
    retryDelayMs: 12 * 3_600_000,
  });
  await clients.events.publishEvents(batchOf(3));
  expect(await errorOf(clients.events.publishEvent({ event: event() }))).toMatchObject({ reason: "QUOTA_EXCEEDED" });
  expect(published).toHaveLength(10);
  now += 12 * 3_600_000;
  await clients.events.publishEvent({ event: event() });
});

test("a period's limit is for each period by itself, and the answer says when the next one begins", async () => {
  const { clients } = await tenantWith({ events: { count: 5, periodMs: 60_000 } });
  now = noon + 45_000;
  await clients.events.publishEvents(batchOf(5));
  const refused = await errorOf(clients.events.publishEvent({ event: event() }));
  expect(refused).toMatchObject({ reason: "RATE_LIMITED", metadata: { limit: "events" }, retryDelayMs: 15_000 });
  now = noon + 60_000;
  await clients.events.publishEvents(batchOf(5));
});

test("a batch that fits into no period is told that it has to be smaller, and no time to wait", async () => {
  const { clients } = await tenantWith({ events: { count: 5, periodMs: 60_000 } });
  const refused = await errorOf(clients.events.publishEvents(batchOf(6)));
  expect(refused).toMatchObject({ reason: "RATE_LIMITED", retryDelayMs: undefined });
  expect(refused.message).toContain("send fewer at once");
});

test("of a stream each event that is too many is answered for itself, and the others are published", async () => {
  const { clients } = await tenantWith({ eventsPerDay: 3 });
  const requests = (async function* () {
    for (let index = 0; index < 5; index += 1) yield { event: event() };
  })();
  const answers: string[] = [];
  for await (const { result } of clients.events.publishEventStream(requests)) answers.push(result.case ?? "");
  expect(answers.toSorted()).toEqual(["error", "error", "eventId", "eventId", "eventId"]);
  expect(published).toHaveLength(3);
});

test("what the broker did not take costs nothing", async () => {
  const { clients } = await tenantWith({ eventsPerDay: 3, events: { count: 3, periodMs: 60_000 } });
  isBrokerAway = true;
  try {
    expect(await errorOf(clients.events.publishEvents(batchOf(3)))).toMatchObject({ reason: "BROKER_UNAVAILABLE" });
  } finally {
    isBrokerAway = false;
  }
  await clients.events.publishEvents(batchOf(3));
});

test("what is given back is given back in every process", async () => {
  const { id } = await tenantWith({ events: { count: 100, periodMs: 3_600_000 } });
  const start = async () => {
    const useCases = createUseCases(api.dependencies);
    await useCases.accessChannel.start();
    await useCases.publishingLimits.prepare([id]);
    return { limits: useCases.publishingLimits, stop: () => useCases.accessChannel.stop() };
  };
  const [one, other] = [await start(), await start()];
  one.limits.take(id, 60, now);
  await waitFor(() => refusalOf(other.limits, id, 60) === "RATE_LIMITED", { what: "the other process to hear of it" });
  one.limits.giveBack(id, 60, now);
  await waitFor(() => refusalOf(other.limits, id, 60) === undefined, { what: "the other process to hear of it" });
  await Promise.all([one.stop(), other.stop()]);
});

test("what is given back to a process that never heard of it allows nothing beyond the limit", async () => {
  const { id } = await tenantWith({});
  const limits = { ...unlimited, events: { count: 100, periodMs: 3_600_000 } };
  const start = (processId: string, channel: Pick<AccessChannel, "publish" | "subscribe">) =>
    createPublishingLimits({
      sql: api.database.sql,
      channel,
      limits: { known: () => limits, of: async () => limits },
      processId,
      now: () => now,
      onFailure: (error) => expect.unreachable(String(error)),
    });
  const said: string[] = [];
  const early = start("early", { publish: async (_kind, payload) => void said.push(payload), subscribe: () => {} });
  early.take(id, 60, now);
  await expect.poll(() => said.length).toBe(1);
  early.giveBack(id, 60, now);
  await expect.poll(() => said.length).toBe(2);
  const heard: ((payload: string) => void)[] = [];
  const late = start("late", { publish: async () => {}, subscribe: (_kind, handler) => void heard.push(handler) });
  for (const hear of heard) hear(said[1]!);
  expect(late.take(id, 101, now)).toMatchObject({ reason: "RATE_LIMITED" });
  expect(late.take(id, 100, now)).toBeUndefined();
});

test("what is published here carries the mark of the deployment", async () => {
  const { clients } = await tenantWith({});
  await clients.events.publishEvents(batchOf(2));
  expect(published.map((message) => hasPublisherMark(message, mark))).toEqual([true, true]);
});

test("the count goes on after a restart, and holds for two processes within about a second", async () => {
  const { id } = await tenantWith({ eventsPerDay: 100 });
  const one = createUseCases(api.dependencies).publishingLimits;
  const other = createUseCases(api.dependencies).publishingLimits;
  await one.prepare([id]);
  await other.prepare([id]);
  one.start();
  other.start();
  expect(one.take(id, 60, now)).toBeUndefined();
  await waitFor(() => refusalOf(other, id, 60) === "QUOTA_EXCEEDED", { what: "the other process to know of it" });
  expect(other.take(id, 40, now), "what is left").toBeUndefined();
  await Promise.all([one.stop(), other.stop()]);
  expect(await publishedEventsSince(api.database.sql, id, "2026-05-01")).toMatchObject([
    { day: "2026-05-01", events: 100 },
  ]);
  const after = createUseCases(api.dependencies).publishingLimits;
  await after.prepare([id]);
  after.start();
  await waitFor(() => refusalOf(after, id, 1) === "QUOTA_EXCEEDED", { what: "the next process to know of it" });
  await after.stop();
});

test("a process knows what was published today before it decides for the first time", async () => {
  const { id } = await tenantWith({ eventsPerDay: 100 });
  const { id: otherId } = await tenantWith({ eventsPerDay: 100 });
  const counts = [id, otherId].map((organizationId) => ({ organizationId, day: "2026-05-01", events: 100 }));
  await addPublishedEvents(api.database.sql, counts);
  const started = createUseCases(api.dependencies).publishingLimits;
  await Promise.all([started.prepare([id]), started.prepare([otherId, id])]);
  expect(started.take(id, 1, now)).toMatchObject({ reason: "QUOTA_EXCEEDED" });
  expect(started.take(otherId, 1, now)).toMatchObject({ reason: "QUOTA_EXCEEDED" });
});

test("who publishes while the day's count is being read waits for it too", async () => {
  const { id } = await tenantWith({ eventsPerDay: 100 });
  await addPublishedEvents(api.database.sql, [{ organizationId: id, day: "2026-05-01", events: 100 }]);
  const { database } = api.dependencies;
  const { promise: read, resolve: reading } = Promise.withResolvers<void>();
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  const sql: Sql = {
    ...database.sql,
    query: async (statement, values) => {
      if (statement.name === "add-published-events") {
        reading();
        await answered;
      }
      return await database.sql.query(statement, values);
    },
  };
  const { publishingLimits } = createUseCases({ ...api.dependencies, database: { ...database, sql } });
  const first = publishingLimits.prepare([id]);
  await read;
  const second = publishingLimits.prepare([id]).then(() => publishingLimits.take(id, 1, now));
  answer();
  await first;
  expect(await second).toMatchObject({ reason: "QUOTA_EXCEEDED" });
});

test("while the database is away a process counts for itself, and what it counted is added when it is back", async () => {
  const { id } = await tenantWith({ eventsPerDay: 100 });
  await addPublishedEvents(api.database.sql, [{ organizationId: id, day: "2026-05-01", events: 70 }]);
  let isAway = true;
  const { database, log } = api.dependencies;
  const failures: string[] = [];
  const sql: Sql = {
    ...database.sql,
    query: async (statement, values) => {
      if (isAway && statement.name === "add-published-events") throw new Error("the test keeps it away");
      return await database.sql.query(statement, values);
    },
  };
  const { publishingLimits } = createUseCases({
    ...api.dependencies,
    database: { ...database, sql },
    log: { ...log, backgroundFailure: (what) => void failures.push(what) },
  });
  await publishingLimits.prepare([id]);
  expect(publishingLimits.take(id, 20, now), "it does not know better").toBeUndefined();
  expect(refusalOf(publishingLimits, id, 90), "but knows its own").toBe("QUOTA_EXCEEDED");
  expect(failures).toContain("counting published events");
  isAway = false;
  publishingLimits.start();
  await waitFor(() => refusalOf(publishingLimits, id, 20) === "QUOTA_EXCEEDED", { what: "what the database knows" });
  expect(refusalOf(publishingLimits, id, 10)).toBeUndefined();
  await publishingLimits.stop();
  expect(await publishedEventsSince(database.sql, id, "2026-05-01")).toMatchObject([{ events: 90 }]);
});

test("what is given back after midnight is given back to the day that it was counted on", async () => {
  const { id } = await tenantWith({ eventsPerDay: 10 });
  const limits = createUseCases(api.dependencies).publishingLimits;
  const evening = Date.UTC(2026, 4, 1, 23, 59, 59);
  now = evening;
  await limits.prepare([id]);
  expect(limits.take(id, 6, evening)).toBeUndefined();
  now = evening + 2_000;
  limits.giveBack(id, 6, evening);
  await limits.prepare([id]);
  expect(limits.take(id, 11, now)).toMatchObject({ reason: "QUOTA_EXCEEDED" });
  expect(limits.take(id, 10, now)).toBeUndefined();
  expect(limits.take(id, 10, evening), "the first day has all of it again").toBeUndefined();
});

test("what was published yesterday, and comes today, uses up nothing of today", async () => {
  const { id } = await tenantWith({ eventsPerDay: 10 });
  const limits = createUseCases(api.dependencies).publishingLimits;
  await limits.prepare([id]);
  expect(limits.take(id, 10, noon - 24 * 3_600_000)).toBeUndefined();
  expect(limits.take(id, 10, noon)).toBeUndefined();
  expect(limits.take(id, 1, noon - 24 * 3_600_000)).toMatchObject({ reason: "QUOTA_EXCEEDED" });
});

test("a refusal says how much of the day's quota is left, and that a batch beyond all of it has to be smaller", async () => {
  const { clients } = await tenantWith({ eventsPerDay: 10 });
  await clients.events.publishEvents(batchOf(7));
  const tooMany = await errorOf(clients.events.publishEvents(batchOf(4)));
  expect(tooMany.message).toContain("3 are left of that for these 4: wait for the next day");
  const tooLarge = await errorOf(clients.events.publishEvents(batchOf(11)));
  expect(tooLarge).toMatchObject({ reason: "QUOTA_EXCEEDED", retryDelayMs: undefined });
  expect(tooLarge.message).toContain("these are 11: send fewer at once");
});

test("the usage shows what there is and may be, and how much was published on the last days", async () => {
  const { id, clients } = await tenantWith({ eventsPerDay: 1_000 });
  await addPublishedEvents(api.database.sql, [
    { organizationId: id, day: "2026-05-01", events: 12 },
    { organizationId: id, day: "2026-04-30", events: 7 },
    { organizationId: id, day: "2026-04-29", events: 0 },
    { organizationId: id, day: "2026-01-01", events: 5 },
  ]);
  const { usage } = await clients.organizations.getOrganizationUsage({ organizationId: id });
  expect(usage).toMatchObject({
    webhooks: { used: 0n },
    apiKeys: { used: 1n },
    eventsToday: { used: 12n, limit: 1_000n },
    publishedEvents: [
      { day: "2026-05-01", events: 12n },
      { day: "2026-04-30", events: 7n },
    ],
  });
  expect(usage?.webhooks?.limit).toBeUndefined();
});

test("old days are removed", async () => {
  const { id } = await tenantWith({});
  await addPublishedEvents(api.database.sql, [
    { organizationId: id, day: "2026-05-01", events: 1 },
    { organizationId: id, day: "2026-03-01", events: 1 },
  ]);
  await removePublishedEvents(api.database.sql, "2026-03-02");
  expect(await publishedEventsSince(api.database.sql, id, "2026-01-01")).toMatchObject([{ day: "2026-05-01" }]);
});

test("two processes may write the same organizations at the same time", async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `00000000-0000-7000-8000-0000000000${10 + index}`);
  const counts = ids.map((organizationId) => ({ organizationId, day: "2026-05-01", events: 1 }));
  await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      addPublishedEvents(api.database.sql, index % 2 === 0 ? counts : counts.toReversed()),
    ),
  );
  const totals = await addPublishedEvents(
    api.database.sql,
    counts.map((count) => ({ ...count, events: 0 })),
  );
  expect(totals.map(({ events }) => events)).toEqual(Array(20).fill(20));
});
