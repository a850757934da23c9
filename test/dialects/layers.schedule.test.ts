import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { type Clients, startApi, type TestApi } from "../api/start-api.ts";
import { createTestEngine, deliveriesOf, type TestEngine, testSecretBox } from "../support/engine.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

const path = "/v1/webhook-endpoints";
const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
/** After the attempt at 0 s. */
const schedule = [30 * secondMs, minuteMs, 5 * minuteMs, 15 * minuteMs, hourMs, 6 * hourMs, 24 * hourMs];

let aheadMs = 0;
const ids = { now: () => Date.now() + aheadMs, randomBytes };
let api: TestApi;
let layers: ServedDialect;
let engine: TestEngine;
let receiver: Receiver;
let key: string;
let clients: Clients;

beforeAll(async () => {
  receiver = await startReceiver(() => ({ status: 500 }));
  api = await startApi({ secretBox: testSecretBox, ids });
  // The schedules of these tests take a week together, and a day has begun already.
  await ensurePartitions(api.database.sql, { now: Date.now(), daysBefore: 0, daysAhead: 14 });
  layers = await serveDialect(api, createLayersDialect(api.useCases));
  // Every attempt fails here, and the schedule is to be seen without the pauses of the circuit breaker.
  const limits = { failuresToOpen: Number.POSITIVE_INFINITY };
  engine = createTestEngine({ database: api.database, broker: api.broker, ids, limits });
  await engine.engine.start();
  ({ key, clients } = await api.addOrganization());
});
afterEach(async () => {
  const { items } = (await call("GET", path)).body;
  await Promise.all(items.map(({ id }: { id: string }) => call("DELETE", `${path}/${id}`)));
  receiver.respondWith(() => ({ status: 500 }));
});
afterAll(async () => {
  await engine?.stop();
  await layers?.close();
  await api?.close();
  await receiver?.close();
});

const call = (method: string, target: string, body?: unknown) =>
  layers.call(method, target, { headers: { "x-api-key": key }, ...(body === undefined ? {} : { body }) });

async function create(): Promise<string> {
  return (await call("POST", path, { url: receiver.url, events: ["job.failed"] })).body.endpoint.id;
}

async function publish(count: number): Promise<void> {
  const events = Array.from({ length: count }, () => ({ type: "job.failed", dataJson: Buffer.from("{}") }));
  await clients.events.publishEvents({ events });
}

/** The deliveries, when there are `count` of which each has had the attempt, or is over. */
async function afterAttempt(endpointId: string, count: number, attempt: number) {
  return await waitFor(
    async () => {
      const found = await deliveriesOf(api.database, endpointId);
      const done = found.filter(({ status, attemptCount }) => status !== "SCHEDULED" || attemptCount === attempt);
      return done.length === count && done;
    },
    { what: `attempt ${attempt} of ${count} deliveries` },
  );
}

/** Gives up `count` new deliveries, of `total` in all. */
async function exhaust(endpointId: string, count: number, total: number): Promise<void> {
  await publish(count);
  for (const [index, delayMs] of schedule.entries()) {
    await afterAttempt(endpointId, total, index + 1);
    aheadMs += delayMs * 1.1 + secondMs;
  }
  await afterAttempt(endpointId, total, schedule.length + 1);
}

const statusOf = async (endpointId: string): Promise<string> =>
  (await call("GET", `${path}/${endpointId}`)).body.status;

it("a delivery is attempted at 0 s, 30 s, 1 m, 5 m, 15 m, 1 h, 6 h and 24 h, and has then failed", async () => {
  const id = await create();
  await publish(1);
  for (const [index, wantedMs] of schedule.entries()) {
    const delivery = (await afterAttempt(id, 1, index + 1))[0];
    const nextAttemptAt = delivery!.nextAttemptAt!.getTime();
    // Up to a tenth is added at random, and the attempt ended between these two moments.
    const requestedAt = receiver.requests.at(-1)!.receivedAt + aheadMs;
    expect(nextAttemptAt).toBeGreaterThanOrEqual(requestedAt + wantedMs);
    expect(nextAttemptAt).toBeLessThanOrEqual(ids.now() + wantedMs * 1.1);
    aheadMs += Math.max(0, nextAttemptAt - ids.now());
  }
  const failed = await waitFor(
    async () => (await call("GET", `${path}/${id}/deliveries?status=failed`)).body.items[0],
    { what: "the end" },
  );
  expect(failed).toMatchObject({ attempts: 8, nextRetryAt: null, abandonedAt: null, lastResponseStatus: 500 });
  expect(await statusOf(id)).toBe("active");
});

it("a delivery that arrives at the third attempt is delivered, with one event id throughout", async () => {
  const before = receiver.requests.length;
  receiver.respondWith((_request, index) => ({ status: index - before < 2 ? 500 : 200 }));
  const id = await create();
  await publish(1);
  await afterAttempt(id, 1, 1);
  aheadMs += 40 * secondMs;
  await afterAttempt(id, 1, 2);
  aheadMs += 70 * secondMs;
  await waitFor(async () => (await deliveriesOf(api.database, id))[0]?.status === "DELIVERED", { what: "the end" });
  const requests = receiver.requests.slice(before);
  expect(requests).toHaveLength(3);
  expect(new Set(requests.map(({ headers }) => headers["x-layers-event-id"])).size).toBe(1);
  const times = requests.map(({ headers }) => Number(/^t=(\d+)/.exec(String(headers["x-layers-signature"]))?.[1]));
  expect(times[2]! - times[0]!).toBeGreaterThanOrEqual(100);
});

it("after 20 failed deliveries in a row the endpoint is auto_paused, and gets nothing before it is active again", async () => {
  const id = await create();
  await exhaust(id, 20, 20);
  const paused = await waitFor(
    async () => {
      const { body } = await call("GET", `${path}/${id}`);
      // The count is written by itself, at times before the last of them is on record.
      return body.consecutiveFailureCount === 20 && body.status === "auto_paused" && body;
    },
    { what: "the pause and the count of failures" },
  );
  expect(paused).toMatchObject({ lastSuccessAt: null, lastFailureAt: expect.any(String) });
  const before = receiver.requests.length;
  const other = await create();
  await publish(1);
  await afterAttempt(other, 1, 1);
  expect(receiver.requests).toHaveLength(before + 1);
  expect((await call("PATCH", `${path}/${id}`, { status: "active" })).body).toMatchObject({
    status: "active",
    consecutiveFailureCount: 0,
  });
});

it("19 failed deliveries before the count was set back do not count", async () => {
  const id = await create();
  await exhaust(id, 19, 19);
  await waitFor(async () => (await call("GET", `${path}/${id}`)).body.consecutiveFailureCount === 19, {
    what: "the count of failures",
  });
  await call("PATCH", `${path}/${id}`, { status: "active" });
  await exhaust(id, 1, 20);
  expect(await statusOf(id)).toBe("active");
  await exhaust(id, 19, 39);
  await waitFor(async () => (await statusOf(id)) === "auto_paused", { what: "the pause" });
});

it("an Idempotency-Key is good for 24 hours, and for a new endpoint after that", async () => {
  const headers = { "x-api-key": key, "idempotency-key": "5f0c7c2e-8a36-4d0c-9d0e-7a2f0d9d2c11" };
  const body = JSON.stringify({ url: receiver.url, events: ["job.failed"] });
  const create = async () => (await layers.call("POST", path, { headers, body })).body;
  const first = await create();
  aheadMs += 24 * hourMs - minuteMs;
  expect(await create()).toEqual(first);
  aheadMs += 2 * minuteMs;
  const third = await create();
  expect(third.endpoint.id).not.toBe(first.endpoint.id);
  expect(third.signingSecret).not.toBe(first.signingSecret);
});
