import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { EventRecord } from "../../src/domain/event.ts";
import type { Database } from "../../src/store/database.ts";
import { claimLanes } from "../../src/store/sql/lanes.ts";
import { copyWebhook } from "../support/copy-webhook.ts";
import {
  addOrganization,
  addWebhook,
  attemptTimes,
  createTestEngine,
  deliveriesOf,
  newEvent,
  type TestEngine,
  type TestEngineOptions,
} from "../support/engine.ts";
import { openPostgresSite } from "../support/postgres-site.ts";
import { type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { scheduleDeliveries } from "../support/schedule-deliveries.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { startDrippingReceiver } from "./dripping-receiver.ts";

let database: Database;
let broker: Broker;
let organizationId: string;
let neighbourOrganization: string;
const receivers: { close(): Promise<void> }[] = [];
const closing: (() => Promise<void>)[] = [];

/** Each test has a database of its own: nothing that another one left behind is due, or waits. */
beforeEach(async () => {
  const site = await openPostgresSite({ maxConnections: 16 });
  closing.push(site.close);
  ({ database, broker } = site);
  [organizationId, neighbourOrganization] = await Promise.all([addOrganization(database), addOrganization(database)]);
});
afterEach(async () => {
  // First, so that no request hangs any more.
  for (const each of receivers.splice(0)) await each.close();
  for (const close of closing.splice(0).reverse()) await close();
});

describe("a neighbour's trouble does not touch a healthy webhook", () => {
  /** How long any delivery of a healthy webhook may take, on a machine that stands still for a moment and is busy with something else before and after. */
  const patientMs = 30_000;
  /** The troubles last for many times as long. */
  const troubleMs = 300_000;

  /** Events for the healthy webhook while the trouble lasts: all arrive, as soon as they did before it. Returns when the last one did. */
  async function healthyDeliveriesArrive({ usualMs }: { usualMs: number }): Promise<number> {
    const { delays, lastAt } = await deliverToHealthy(200);
    expect(median(delays)).toBeLessThan(1_000 + 10 * usualMs);
    expect(Math.max(...delays)).toBeLessThan(patientMs);
    return lastAt;
  }

  /** How long a delivery takes on this machine, as busy as it is with other things. */
  const withoutTrouble = async () => ({ usualMs: median((await deliverToHealthy(60)).delays) });

  async function deliverToHealthy(count: number): Promise<{ delays: number[]; lastAt: number }> {
    const healthy = await receiver();
    const neighbour = await addOrganization(database);
    const { webhook } = await addWebhook(database, neighbour, { url: healthy.url });
    for (let sent = 0; sent < count; sent += 20) {
      await publish(...Array.from({ length: 20 }, () => newEvent(neighbour, { dataJson: `{"at":${Date.now()}}` })));
    }
    await waitFor(() => healthy.requests.length >= count, { what: "the healthy webhook's deliveries" });
    await waitFor(async () => {
      const deliveries = await deliveriesOf(database, webhook.id);
      return deliveries.length === count && deliveries.every(({ status }) => status === "DELIVERED");
    });
    expect(healthy.requests).toHaveLength(count);
    const delays = healthy.requests.map(({ body, receivedAt }) => receivedAt - JSON.parse(body).data.at);
    return { delays, lastAt: Math.max(...healthy.requests.map(({ receivedAt }) => receivedAt)) };
  }

  test("where its receivers hang, 300 of them", async () => {
    const hanging = await receiver(() => "hang");
    await addWebhooks(300, { url: hanging.url, timeoutMs: troubleMs });
    // Requests at once are scarcer than webhooks that hang.
    await started({ limits: { maxInFlight: 128, budgetMs: 500 } });
    const usual = await withoutTrouble();
    await publish(newEvent(organizationId), newEvent(organizationId));
    await waitFor(() => hanging.requests.length >= 100, { what: "the first requests that hang" });
    await healthyDeliveriesArrive(usual);
    await hanging.close();
  });

  test("where the lanes of 300 webhooks hang, its own lane is worked on", async () => {
    const hanging = await receiver(() => "hang");
    const healthy = await receiver();
    const { webhook } = await addWebhook(database, neighbourOrganization, { url: healthy.url });
    for (const webhookId of await addWebhooks(300, { url: hanging.url, timeoutMs: troubleMs })) {
      await scheduleDeliveries(database, { organizationId, webhookId }, [Date.now(), Date.now()]);
    }
    await started({ limits: { maxLanes: 100, maxInFlight: 128 } });
    await waitFor(() => hanging.requests.length >= 150, { what: "the first lanes that hang" });
    const due = Array.from({ length: 50 }, () => Date.now());
    await scheduleDeliveries(database, { organizationId: neighbourOrganization, webhookId: webhook.id }, due);
    await waitFor(() => healthy.requests.length === due.length, { what: "the healthy lane" });
    await hanging.close();
  });

  test("where its receiver drips its response", async () => {
    const dripping = await startDrippingReceiver();
    receivers.push(dripping);
    const { webhook } = await addWebhook(database, organizationId, { url: dripping.url, timeoutMs: troubleMs });
    await started({ limits: { budgetMs: 500 } });
    const usual = await withoutTrouble();
    await publish(...Array.from({ length: 100 }, () => newEvent(organizationId)));
    await waitFor(() => dripping.requests() >= 5);
    await healthyDeliveriesArrive(usual);
    expect((await deliveriesOf(database, webhook.id)).some(({ status }) => status === "DELIVERED")).toBe(false);
    await dripping.close();
  });

  test("where its receiver fails", async () => {
    const failing = await receiver(() => ({ status: 500 }));
    await addWebhook(database, organizationId, { url: failing.url, retryDelaysMs: [50, 50, 50, 50] });
    await started();
    const usual = await withoutTrouble();
    await publish(...Array.from({ length: 300 }, () => newEvent(organizationId)));
    await waitFor(() => failing.requests.length >= 10);
    await healthyDeliveriesArrive(usual);
  });

  test("where it has 20,000 deliveries waiting", async () => {
    const behind = await receiver();
    const { webhook } = await addWebhook(database, organizationId, { url: behind.url });
    await started();
    const usual = await withoutTrouble();
    const now = Date.now();
    await scheduleDeliveries(
      database,
      { organizationId, webhookId: webhook.id },
      Array.from({ length: 20_000 }, (_, index) => now - 20_000 + index),
    );
    await waitFor(() => behind.requests.length >= 100, { what: "the backlog to move" });
    const lastAt = await healthyDeliveriesArrive(usual);
    await waitFor(() => behind.requests.some(({ receivedAt }) => receivedAt > lastAt), {
      what: "the rest of the backlog",
    });
  });
});

test("where more receivers hang than there are places for slow requests, requests stay bounded, every event is recorded, and others get their turns", async () => {
  const hanging = await receiver(() => "hang");
  const healthy = await receiver();
  const stuck = await addWebhooks(150, { url: hanging.url, timeoutMs: 3_000, retryDelaysMs: [600_000] });
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
  await waitFor(() => healthy.requests.length === 1, { what: "the healthy webhook's delivery" });
  await waitFor(async () => (await waitingMessages()) === 0, { what: "every event to be recorded" });
  const recorded = "select count(*)::int as count from scheduled_delivery where webhook_id = any($1::uuid[])";
  const [row] = await database.sql.query<{ count: number }>({ name: "", text: recorded }, [stuck]);
  expect(row?.count).toBe(4 * stuck.length);
  // As many from the lanes as from memory.
  expect(most).toBeLessThanOrEqual(2 * (maxInFlight + maxSlow));
  await hanging.close();
});

test("the limit of a webhook holds for its fast path and its lane together", async () => {
  let now = 0;
  let most = 0;
  const full = Promise.withResolvers<void>();
  const counting = await receiver(async () => {
    now += 1;
    most = Math.max(most, now);
    if (now === 6) full.resolve();
    // Until as many as may come are there.
    await full.promise;
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
  await waitFor(() => counting.requests.length === 600, { what: "all deliveries" });
  expect(most).toBe(6);
});

describe("a receiver that keeps failing", () => {
  test("is left alone, at no cost of attempts, until one request shows that it is well; then it gets more and more", async () => {
    const sick = await receiver(() => ({ status: 500 }));
    const { webhook } = await addWebhook(database, organizationId, { url: sick.url, retryDelaysMs: [100, 100, 100] });
    const ends: number[] = [];
    const begun: { at: number; underWay: number }[] = [];
    let underWay = 0;
    const knowing = new Set<string>();
    const observed = (name: string) =>
      started({
        observer: {
          breakerChanged({ openUntil }) {
            if (openUntil !== null) ends.push(openUntil);
          },
          state({ endpoints }) {
            if (endpoints.open > 0) knowing.add(name);
          },
          inFlight(change) {
            underWay += change;
            if (change === 1) begun.push({ at: Date.now(), underWay });
          },
        },
      });
    const processes = [await observed("first"), await observed("second")];
    await publish(...Array.from({ length: 40 }, () => newEvent(organizationId)));
    await waitFor(() => knowing.size === 2, { what: "both processes to know of the open breaker" });
    const [leftAloneFrom, until] = [Date.now(), Math.min(...ends)];

    // Events come, to both processes, and are kept without a request.
    await publish(...Array.from({ length: 40 }, () => newEvent(organizationId)));
    await waitFor(async () => (await deliveriesOf(database, webhook.id)).length === 80);
    sick.respondWith(async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { status: 204 };
    });
    const begunBefore = begun.length;
    await waitFor(
      async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status !== "SCHEDULED"),
      { what: "everything to be delivered" },
    );
    expect(begun.filter(({ at }) => at > leftAloneFrom && at < until)).toEqual([]);
    expect(await attemptTimes(database)).toHaveLength(begun.length);
    const counts = (await deliveriesOf(database, webhook.id)).map(({ attemptCount }) => attemptCount);
    expect(counts.reduce((sum, count) => sum + count)).toBe(begun.length);
    // One request shows how things are, and from there it doubles at most.
    const atOnce = begun.slice(begunBefore).map((request) => request.underWay);
    expect(atOnce.slice(0, 2)).toEqual([1, 1]);
    expect(Math.max(...atOnce.slice(0, 4))).toBeLessThanOrEqual(2);
    expect(Math.max(...atOnce)).toBeGreaterThan(2);
    expect(processes.flatMap(({ failures }) => failures)).toEqual([]);
  });
});

describe("a rate limit", () => {
  /** Between the clock's reading for the limit and the one for the attempt's record. */
  const betweenReadingsMs = 5;

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
    await everyDelivery(webhook.id, 40);
    // By when they began: on their way to the receiver some may be held up, and come closer together.
    const times = await attemptTimes(database);
    expect(times).toHaveLength(40);
    times.slice(10).forEach((time, index) => {
      expect(time - (times[index] as number)).toBeGreaterThanOrEqual(1_000 - betweenReadingsMs);
    });
    expect(limited.requests).toHaveLength(40);
  });

  test("holds although the process that began the last request was killed before it could say so", async () => {
    const limited = await receiver();
    const { webhook } = await addWebhook(database, organizationId, {
      url: limited.url,
      rateLimitCount: 1,
      rateLimitPeriodMs: 2_000,
    });
    await scheduleDeliveries(database, { organizationId, webhookId: webhook.id }, [Date.now()]);
    // It begins a request, and is gone.
    const heldFrom = Date.now();
    const killed = { owner: randomUUID(), now: heldFrom + 1, limit: 100, leaseMs: 300 };
    const claimed = await claimLanes(database.sql, killed);
    expect(claimed.map(({ webhookId }) => webhookId)).toContain(webhook.id);
    await started();
    await waitFor(() => limited.requests.length === 1, { what: "the delivery" });
    expect((limited.requests[0]?.receivedAt ?? 0) - heldFrom).toBeGreaterThanOrEqual(killed.leaseMs + 2_000);
  });

  test("slower than one request in a second gives the lane back in between", async () => {
    const seen: string[] = [];
    const limited = await receiver(() => {
      seen.push("a request");
      return { status: 204 };
    });
    const { webhook } = await addWebhook(database, organizationId, {
      url: limited.url,
      rateLimitCount: 1,
      rateLimitPeriodMs: 4_000,
    });
    await started({ observer: { lanesHeld: (lanes) => void seen.push(`${lanes} lanes held`) } });
    await publish(newEvent(organizationId), newEvent(organizationId));
    await everyDelivery(webhook.id, 2);
    expect(seen.slice(seen.indexOf("a request"), seen.lastIndexOf("a request"))).toContain("0 lanes held");
    const [first = 0, second = 0] = await attemptTimes(database);
    expect(second - first).toBeGreaterThanOrEqual(4_000 - betweenReadingsMs);
  });

  async function everyDelivery(webhookId: string, count: number): Promise<void> {
    await waitFor(
      async () => {
        const deliveries = await deliveriesOf(database, webhookId);
        return deliveries.length === count && deliveries.every(({ status }) => status === "DELIVERED");
      },
      { what: "all deliveries" },
    );
  }
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
  await addWebhooks(20, { url: slow.url });
  await addWebhook(database, neighbourOrganization, { url: small.url });
  await started({ limits: { maxInFlight: 4 } });
  // 2,000 deliveries for four requests at a time, and then one.
  await publish(...Array.from({ length: 100 }, () => newEvent(organizationId)), newEvent(neighbourOrganization));
  await waitFor(() => small.requests.length === 1);
  expect(servedBefore).toBeLessThan(1_000);
});

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
  receivers.push(opened);
  return opened;
}

/** So many webhooks of the organization. Their ids. */
async function addWebhooks(count: number, values: Parameters<typeof addWebhook>[2]): Promise<string[]> {
  const { webhook } = await addWebhook(database, organizationId, values);
  return [webhook.id, ...(await copyWebhook(database, webhook.id, count - 1))];
}

async function publish(...events: EventRecord[]): Promise<void> {
  await broker.publish(events.map((event) => encodeEventMessage(event)));
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)] ?? 0;
}

async function waitingMessages(): Promise<number> {
  const text = "select count(*)::int as waiting from broker_message";
  const [row] = await database.sql.query<{ waiting: number }>({ name: "", text }, []);
  return row?.waiting ?? 0;
}
