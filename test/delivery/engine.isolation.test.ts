import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import { type Database, openPostgres } from "../../src/store/database.ts";
import { claimLanes } from "../../src/store/sql/lanes.ts";
import {
  addOrganization,
  addWebhook,
  createTestEngine,
  deliveriesOf,
  newEvent,
  type TestEngine,
  type TestEngineOptions,
} from "../support/engine.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { scheduleDeliveries } from "../support/schedule-deliveries.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";

let testDatabase: TestDatabase;
let database: Database;
let broker: Broker;
let organizationId: string;
let neighbourOrganization: string;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openPostgres(testDatabase.url, { maxConnections: 16 });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});
beforeEach(async () => {
  broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  closing.push(() => broker.close());
  [organizationId, neighbourOrganization] = await Promise.all([addOrganization(database), addOrganization(database)]);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) {
    await close();
  }
});

describe("a neighbour's trouble does not touch a healthy webhook", () => {
  /** How long any delivery of a healthy webhook may take on a busy machine; the troubles below last for many times as long. */
  const healthyMs = 2_000;

  /** Events for the healthy webhook while the trouble lasts: all arrive, each soon after it was published. */
  async function healthyDeliveriesArrive(count = 200): Promise<void> {
    const healthy = await receiver();
    const { webhook } = await addWebhook(database, neighbourOrganization, { url: healthy.url });
    const publishedAt = new Map<string, number>();
    for (let sent = 0; sent < count; sent += 20) {
      const events = Array.from({ length: 20 }, () =>
        newEvent(neighbourOrganization, { dataJson: `{"at":${Date.now()}}` }),
      );
      for (const { id } of events) publishedAt.set(id, Date.now());
      await publish(...events);
    }
    await waitFor(() => healthy.requests.length >= count, {
      timeoutMs: 10_000,
      what: "the healthy webhook's deliveries",
    });
    const delays = healthy.requests.map(({ body, receivedAt }) => receivedAt - JSON.parse(body).data.at);
    expect(Math.max(...delays)).toBeLessThan(healthyMs);
    await waitFor(async () => {
      const deliveries = await deliveriesOf(database, webhook.id);
      return deliveries.length === count && deliveries.every(({ status }) => status === "DELIVERED");
    });
    expect(healthy.requests).toHaveLength(count);
  }

  test("where its receivers hang, 300 of them", async () => {
    const hanging = await receiver(() => "hang");
    await Promise.all(
      Array.from({ length: 300 }, () => addWebhook(database, organizationId, { url: hanging.url, timeoutMs: 30_000 })),
    );
    // Requests at once are scarcer than webhooks that hang.
    await started({ limits: { maxInFlight: 128, budgetMs: 500 } });
    await publish(newEvent(organizationId), newEvent(organizationId));
    await waitFor(() => hanging.requests.length >= 100, { what: "the first requests that hang" });
    await healthyDeliveriesArrive();
    await hanging.close();
  }, 40_000);

  test("where the lanes of 300 webhooks hang, its own lane is worked on", async () => {
    const hanging = await receiver(() => "hang");
    const healthy = await receiver();
    const { webhook } = await addWebhook(database, neighbourOrganization, { url: healthy.url });
    for (let made = 0; made < 300; made += 1) {
      const { webhook: stuck } = await addWebhook(database, organizationId, { url: hanging.url, timeoutMs: 30_000 });
      await scheduleDeliveries(database, { organizationId, webhookId: stuck.id }, [Date.now(), Date.now()]);
    }
    await started({ limits: { maxLanes: 100, maxInFlight: 128 } });
    await waitFor(() => hanging.requests.length >= 150, { what: "the first lanes that hang" });
    const due = Array.from({ length: 50 }, () => Date.now());
    await scheduleDeliveries(database, { organizationId: neighbourOrganization, webhookId: webhook.id }, due);
    await waitFor(() => healthy.requests.length === due.length, { timeoutMs: 5_000, what: "the healthy lane" });
    await hanging.close();
  }, 60_000);

  test("where its receiver drips its response", async () => {
    const dripping = await drippingReceiver();
    const { webhook } = await addWebhook(database, organizationId, { url: dripping.url, timeoutMs: 8_000 });
    await started({ limits: { budgetMs: 500 } });
    await publish(...Array.from({ length: 100 }, () => newEvent(organizationId)));
    await waitFor(() => dripping.requests() >= 5);
    await healthyDeliveriesArrive();
    expect((await deliveriesOf(database, webhook.id)).some(({ status }) => status === "DELIVERED")).toBe(false);
  }, 30_000);

  test("where its receiver fails", async () => {
    const failing = await receiver(() => ({ status: 500 }));
    await addWebhook(database, organizationId, { url: failing.url, retryDelaysMs: [50, 50, 50, 50] });
    await started();
    await publish(...Array.from({ length: 300 }, () => newEvent(organizationId)));
    await waitFor(() => failing.requests.length >= 10);
    await healthyDeliveriesArrive();
  }, 30_000);

  test("where it has 20,000 deliveries waiting", async () => {
    const behind = await receiver();
    const { webhook } = await addWebhook(database, organizationId, { url: behind.url });
    const now = Date.now();
    await scheduleDeliveries(
      database,
      { organizationId, webhookId: webhook.id },
      Array.from({ length: 20_000 }, (_, index) => now - 20_000 + index),
    );
    await started();
    await waitFor(() => behind.requests.length >= 100, { what: "the backlog to move" });
    await healthyDeliveriesArrive();
    expect(behind.requests.length).toBeLessThan(20_000);
  }, 60_000);
});

test("where more receivers hang than there are places for slow requests, requests stay bounded, every event is recorded, and others get their turns", async () => {
  const hanging = await receiver(() => "hang");
  const healthy = await receiver();
  const hooks = Array.from({ length: 150 }, () =>
    addWebhook(database, organizationId, { url: hanging.url, timeoutMs: 1_000, retryDelaysMs: [600_000] }),
  );
  const stuck = await Promise.all(hooks);
  await addWebhook(database, neighbourOrganization, { url: healthy.url });
  const [maxInFlight, maxSlow] = [10, 20];
  let underWay = 0;
  let most = 0;
  await started({
    limits: { maxInFlight, maxSlow, slowMs: 50, budgetMs: 300 },
    observer: {
      inFlight(change) {
        underWay += change;
        most = Math.max(most, underWay);
      },
    },
  });
  await publish(...Array.from({ length: 4 }, () => newEvent(organizationId)));
  await waitFor(() => underWay >= maxInFlight + maxSlow, { what: "every place to be taken" });
  await publish(newEvent(neighbourOrganization));
  await waitFor(() => healthy.requests.length === 1, { timeoutMs: 10_000, what: "the healthy webhook's delivery" });
  await waitFor(async () => (await waitingMessages()) === 0, { what: "every event to be recorded" });
  const recorded = "select count(*)::int as count from scheduled_delivery where webhook_id = any($1::uuid[])";
  const [row] = await database.sql.query<{ count: number }>({ name: "", text: recorded }, [
    stuck.map(({ webhook }) => webhook.id),
  ]);
  expect(row?.count).toBe(4 * stuck.length);
  // As many from the lanes as from memory.
  expect(most).toBeLessThanOrEqual(2 * (maxInFlight + maxSlow));
  await hanging.close();
}, 40_000);

test("the limit of a webhook holds for its fast path and its lane together", async () => {
  let now = 0;
  let most = 0;
  const counting = await receiver(async () => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setTimeout(resolve, 5));
    now -= 1;
    return { status: 204 };
  });
  const { webhook } = await addWebhook(database, organizationId, { url: counting.url });
  await scheduleDeliveries(
    database,
    { organizationId, webhookId: webhook.id },
    Array.from({ length: 300 }, () => Date.now()),
  );
  await started({ maxPerWebhook: 6 });
  await publish(...Array.from({ length: 300 }, () => newEvent(organizationId)));
  await waitFor(() => counting.requests.length === 600, { timeoutMs: 20_000, what: "all deliveries" });
  expect(most).toBe(6);
}, 30_000);

describe("a receiver that keeps failing", () => {
  test("is left alone, at no cost of attempts, until one request shows that it is well; then it gets more and more", async () => {
    const sick = await receiver(() => ({ status: 500 }));
    const { webhook } = await addWebhook(database, organizationId, { url: sick.url, retryDelaysMs: [100, 100, 100] });
    const changes: string[] = [];
    const first = await started({
      observer: { breakerChanged: ({ openUntil }) => void changes.push(openUntil === null ? "closed" : "opened") },
    });
    const second = await started();
    await publish(...Array.from({ length: 40 }, () => newEvent(organizationId)));
    await waitFor(async () => (await breakerOf(webhook.id)) !== undefined, { what: "the breaker to open" });
    const openUntil = (await breakerOf(webhook.id)) as number;
    await waitFor(async () => (await deliveriesOf(database, webhook.id)).length === 40);
    const requestsSoFar = sick.requests.length;
    const attemptsSoFar = await attemptsMade(webhook.id);

    // Events come, to both processes, and are kept without a request.
    await publish(...Array.from({ length: 40 }, () => newEvent(organizationId)));
    await waitFor(async () => (await deliveriesOf(database, webhook.id)).length === 80);
    let running = 0;
    const atOnce: number[] = [];
    sick.respondWith(async () => {
      running += 1;
      atOnce.push(running);
      await new Promise((resolve) => setTimeout(resolve, 50));
      running -= 1;
      return { status: 204 };
    });
    expect(sick.requests).toHaveLength(requestsSoFar);
    expect(await attemptsMade(webhook.id)).toBe(attemptsSoFar);

    await waitFor(
      async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status !== "SCHEDULED"),
      { timeoutMs: 20_000, what: "everything to be delivered" },
    );
    const after = sick.requests.slice(requestsSoFar);
    expect(after[0]?.receivedAt).toBeGreaterThanOrEqual(openUntil - 5);
    // One request shows how things are, and from there it doubles at most.
    expect(atOnce.slice(0, 2)).toEqual([1, 1]);
    expect(Math.max(...atOnce.slice(0, 4))).toBeLessThanOrEqual(2);
    expect(Math.max(...atOnce)).toBeGreaterThan(2);
    expect([first.failures, second.failures]).toEqual([[], []]);
  }, 40_000);
});

describe("a rate limit", () => {
  test("is never exceeded by two processes together, and drops nothing", async () => {
    const limited = await receiver();
    const { webhook } = await addWebhook(database, organizationId, {
      url: limited.url,
      rateLimitCount: 10,
      rateLimitPeriodMs: 1_000,
    });
    await Promise.all([started(), started()]);
    for (let burst = 0; burst < 4; burst += 1) {
      await publish(...Array.from({ length: 10 }, () => newEvent(organizationId)));
    }
    await waitFor(() => limited.requests.length === 40, { timeoutMs: 20_000, what: "all deliveries" });
    const times = limited.requests.map(({ receivedAt }) => receivedAt);
    times.slice(10).forEach((time, index) => {
      // Of eleven requests the last comes a period after the first; what the way to the receiver takes may differ by a little.
      expect(time - (times[index] as number)).toBeGreaterThanOrEqual(1_000 - 40);
    });
    await waitFor(async () => {
      const deliveries = await deliveriesOf(database, webhook.id);
      return deliveries.length === 40 && deliveries.every(({ status }) => status === "DELIVERED");
    });
  }, 30_000);

  test("holds although the process that began the last request was killed before it could say so", async () => {
    const limited = await receiver();
    const { webhook } = await addWebhook(database, organizationId, {
      url: limited.url,
      rateLimitCount: 1,
      rateLimitPeriodMs: 2_000,
    });
    await scheduleDeliveries(database, { organizationId, webhookId: webhook.id }, [Date.now()]);
    // It begins a request, and is gone.
    const killed = { owner: randomUUID(), now: Date.now() + 1, limit: 100, leaseMs: 300 };
    const claimed = await claimLanes(database.sql, killed);
    expect(claimed.map(({ webhookId }) => webhookId)).toContain(webhook.id);
    const leftAt = Date.now();
    await started();
    await waitFor(() => limited.requests.length === 1, { what: "the delivery" });
    expect((limited.requests[0]?.receivedAt ?? 0) - leftAt).toBeGreaterThanOrEqual(2_000);
  }, 20_000);

  test("slower than one request in a second gives the lane back in between", async () => {
    const limited = await receiver();
    const { webhook } = await addWebhook(database, organizationId, {
      url: limited.url,
      rateLimitCount: 1,
      rateLimitPeriodMs: 1_500,
    });
    const held: number[] = [];
    await started({ observer: { lanesHeld: (lanes) => void held.push(lanes) } });
    await publish(newEvent(organizationId), newEvent(organizationId), newEvent(organizationId));
    await waitFor(() => limited.requests.length === 1);
    await waitFor(() => held.at(-1) === 0, { timeoutMs: 1_000, what: "the lane to be given back" });
    await waitFor(() => limited.requests.length === 3, { timeoutMs: 10_000 });
    const [first, second, third] = limited.requests.map(({ receivedAt }) => receivedAt) as [number, number, number];
    expect(second - first).toBeGreaterThanOrEqual(1_480);
    expect(third - second).toBeGreaterThanOrEqual(1_480);
    await waitFor(async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status === "DELIVERED"));
  }, 30_000);
});

test("an organization with much to send lets another one have its turns", async () => {
  let served = 0;
  const slow = await receiver(async () => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    served += 1;
    return { status: 204 };
  });
  let servedBefore = 0;
  const small = await receiver(() => {
    servedBefore = served;
    return { status: 204 };
  });
  await Promise.all(Array.from({ length: 20 }, () => addWebhook(database, organizationId, { url: slow.url })));
  await addWebhook(database, neighbourOrganization, { url: small.url });
  await started({ limits: { maxInFlight: 4 } });
  // 2,000 deliveries for four requests at a time, and then one.
  await publish(...Array.from({ length: 100 }, () => newEvent(organizationId)));
  await waitFor(() => slow.requests.length > 0);
  await publish(newEvent(neighbourOrganization));
  await waitFor(() => small.requests.length === 1);
  expect(servedBefore).toBeLessThan(1_000);
}, 30_000);

/** A process of its own, as far as the engine can tell. */
async function started(options: Partial<TestEngineOptions> = {}): Promise<TestEngine> {
  const own = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const engine = createTestEngine({ database, broker: own, ...options });
  closing.push(async () => {
    await engine.stop(200).catch(() => {});
    await own.close();
  });
  await engine.engine.start();
  return engine;
}

async function receiver(respond?: Respond): Promise<Receiver> {
  const opened = await startReceiver(respond);
  closing.push(() => opened.close());
  return opened;
}

/** Answers at once, and sends its response a byte at a time. */
async function drippingReceiver(): Promise<{ url: string; requests: () => number }> {
  let requests = 0;
  const server = createServer((incoming, response) => {
    requests += 1;
    incoming.resume();
    response.writeHead(200);
    const drip = setInterval(() => response.write("."), 20);
    response.on("close", () => clearInterval(drip));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, requests: () => requests };
}

async function publish(...events: EventRecord[]): Promise<void> {
  await broker.publish(events.map((event) => encodeEventMessage(event)));
}

async function waitingMessages(): Promise<number> {
  const text = "select count(*)::int as waiting from broker_message";
  const [row] = await database.sql.query<{ waiting: number }>({ name: "", text }, []);
  return row?.waiting ?? 0;
}

/** Until when the webhook's breaker is open; undefined where it is not. */
async function breakerOf(webhookId: string): Promise<number | undefined> {
  const text =
    "select extract(epoch from open_until)::float8 * 1000 as at from lane where webhook_id = $1 and open_until > now()";
  const [lane] = await database.sql.query<{ at: number }>({ name: "", text }, [webhookId]);
  return lane?.at;
}

async function attemptsMade(webhookId: string): Promise<number> {
  const deliveries = await deliveriesOf(database, webhookId);
  return deliveries.reduce((sum, { attemptCount }) => sum + attemptCount, 0);
}
