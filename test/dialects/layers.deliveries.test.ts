import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import { createDialectCall, type DialectReply } from "./serve-dialect.ts";

const path = "/v1/webhook-endpoints";
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const eventId = /^evt_[0-9a-z]{26}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let database: TestDatabase;
let tellwire: TellwireProcess;
let receiver: Receiver;
let native: RestClient;
let organizationUuid: string;
let key: string;

beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: database.url }));
});
afterAll(async () => {
  await tellwire?.stop();
  await database?.drop();
});
beforeEach(async () => {
  receiver = await startReceiver();
  const operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Layers" });
  ({ key } = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, { name: "test" }));
  native = createRestClient(tellwire.httpUrl, key);
  return () => receiver.close();
});

function call(method: string, target: string, body?: unknown): Promise<DialectReply> {
  const options = { headers: { "x-api-key": key }, ...(body === undefined ? {} : { body }) };
  return createDialectCall(tellwire.httpUrl)(method, target, options);
}

async function create(values: Record<string, unknown> = {}): Promise<{ id: string; secret: string }> {
  const body = { url: receiver.url, events: ["job.completed"], ...values };
  const reply = await call("POST", path, body);
  expect(reply.status).toBe(201);
  organizationUuid = reply.body.endpoint.organizationId;
  return { id: reply.body.endpoint.id, secret: reply.body.signingSecret };
}

async function publish(type: string, data: unknown, values: Record<string, unknown> = {}): Promise<void> {
  await native("POST", "/v1/events", { type, data, ...values });
}

async function received(count: number): Promise<ReceivedRequest[]> {
  await waitFor(() => receiver.requests.length >= count, { what: `request ${count}` });
  return receiver.requests;
}

/** The only entry of the log with the status. */
async function logged(endpointId: string, status: string) {
  return await waitFor(
    async () => {
      const { items } = (await call("GET", `${path}/${endpointId}/deliveries?status=${status}`)).body;
      return items.length > 0 && items[0];
    },
    { what: `a delivery that is ${status}` },
  );
}

/**
 * As the documents tell receivers: the header's `t` and every `v1`, one of which is the HMAC-SHA256 of `t.body` with the whole secret, at
 * a time that is not long ago.
 */
function isFromLayers({ headers, body }: ReceivedRequest, secret: string): boolean {
  const parts = String(headers["x-layers-signature"])
    .split(",")
    .map((part) => part.split("=", 2) as [string, string]);
  const t = parts.find(([name]) => name === "t")?.[1] ?? "";
  const expected = createHmac("sha256", secret).update(`${t}.${body}`).digest();
  const isRecent = Math.abs(Date.now() / 1000 - Number(t)) < 300;
  return isRecent && parts.some(([name, hex]) => name === "v1" && timingSafeEqual(Buffer.from(hex, "hex"), expected));
}

it("a receiver that verifies as the documents say accepts an event of its own types, and gets no other", async () => {
  const { secret } = await create();
  await publish("job.failed", { not: "wanted" });
  await publish("job.completed", { jobId: "j1", name: "Zoë" });
  const [request] = await received(1);
  expect(isFromLayers(request!, secret)).toBe(true);
  expect(isFromLayers(request!, "whsec_another")).toBe(false);
  const body = JSON.parse(request!.body);
  expect(body).toEqual({
    id: expect.stringMatching(eventId),
    type: "job.completed",
    createdAt: expect.stringMatching(time),
    apiVersion: "v1",
    data: { jobId: "j1", name: "Zoë" },
  });
  expect(request).toMatchObject({
    method: "POST",
    headers: { "x-layers-event-id": body.id, "content-type": "application/json" },
  });
  expect(receiver.requests).toHaveLength(1);
});

it("an endpoint of a project gets the events of that project alone", async () => {
  const projectId = randomUUID();
  await create({ projectId });
  await publish("job.completed", 1);
  await publish("job.completed", 2, { projectId: randomUUID() });
  await publish("job.completed", 3, { projectId });
  const [request] = await received(1);
  expect(JSON.parse(request!.body).data).toBe(3);
  expect(receiver.requests).toHaveLength(1);
});

it("after a rotation both secrets verify, the newer signature first", async () => {
  const { id, secret } = await create();
  const { signingSecret } = (await call("POST", `${path}/${id}/rotate-secret`)).body;
  await publish("job.completed", {});
  const [request] = await received(1);
  expect(isFromLayers(request!, secret)).toBe(true);
  expect(isFromLayers(request!, signingSecret)).toBe(true);
  const header = String(request!.headers["x-layers-signature"]);
  expect(header).toMatch(/^t=\d+,v1=[0-9a-f]{64},v1=[0-9a-f]{64}$/);
  const [t = "", first = ""] = header.split(",").map((part) => part.slice(part.indexOf("=") + 1));
  expect(first).toBe(createHmac("sha256", signingSecret).update(`${t}.${request!.body}`).digest("hex"));
});

it("a test sends test.ping past the events of the endpoint, to no other endpoint, and is answered at once", async () => {
  const { id, secret } = await create();
  const other = await startReceiver();
  await create({ url: other.url, events: ["test.ping"] });
  const { status, body } = await call("POST", `${path}/${id}/test`);
  expect(status).toBe(200);
  expect(body).toEqual({
    eventId: expect.stringMatching(eventId),
    deliveryId: expect.stringMatching(uuid),
    scheduledAt: expect.stringMatching(time),
  });
  const [request] = await received(1);
  expect(isFromLayers(request!, secret)).toBe(true);
  expect(JSON.parse(request!.body)).toMatchObject({
    id: body.eventId,
    type: "test.ping",
    data: { message: expect.any(String), endpointId: id, organizationId: organizationUuid },
  });

  await call("POST", `${path}/${id}/test`, { payload: { own: [1, 2] } });
  expect(JSON.parse((await received(2))[1]!.body).data).toEqual({ own: [1, 2] });
  expect(other.requests).toEqual([]);
  await other.close();
});

it("the log has every field of a delivery", async () => {
  const { id } = await create();
  await publish("job.completed", {});
  const delivery = await logged(id, "delivered");
  const documented = {
    id: expect.stringMatching(uuid),
    endpointId: id,
    eventId: JSON.parse(receiver.requests[0]!.body).id,
    eventType: "job.completed",
    status: "delivered",
    attempts: 1,
    nextRetryAt: null,
    deliveredAt: expect.stringMatching(time),
    abandonedAt: null,
    lastResponseStatus: 204,
    lastResponseAt: expect.stringMatching(time),
    lastErrorMessage: null,
    createdAt: expect.stringMatching(time),
  };
  expect(delivery).toEqual(documented);
  expect(Object.keys(delivery)).toEqual(Object.keys(documented));
  const endpoint = await waitFor(
    async () => {
      const { body } = await call("GET", `${path}/${id}`);
      return body.lastSuccessAt !== null && body;
    },
    { what: "the endpoint's health" },
  );
  expect(endpoint.lastSuccessAt).toMatch(time);
});

it("a failed attempt is pending in the log, with what the receiver said and the time of the next attempt", async () => {
  receiver.respondWith(() => ({ status: 503 }));
  const { id } = await create();
  await publish("job.completed", {});
  const [request] = await received(1);
  const pending = await waitFor(
    async () => {
      const delivery = await logged(id, "pending");
      return delivery.attempts === 1 && delivery;
    },
    { what: "the first attempt's record" },
  );
  expect(pending).toMatchObject({
    lastResponseStatus: 503,
    lastResponseAt: expect.stringMatching(time),
    lastErrorMessage: expect.stringMatching(/./),
    deliveredAt: null,
    abandonedAt: null,
  });
  // Thirty seconds after the attempt, and up to a tenth more; the attempt ended between these two moments.
  const nextRetryAt = Date.parse(pending.nextRetryAt);
  expect(nextRetryAt).toBeGreaterThanOrEqual(request!.receivedAt + 30_000);
  expect(nextRetryAt).toBeLessThanOrEqual(Date.now() + 33_000);
});

it("the log is newest first, in pages, and is cut down to an event type and to a status", async () => {
  const { id } = await create({ events: ["job.completed", "job.failed"] });
  for (let number = 1; number <= 5; number += 1) {
    await publish(number % 2 === 0 ? "job.failed" : "job.completed", number);
    await received(number);
  }
  const log = async (query: string) => (await call("GET", `${path}/${id}/deliveries?${query}`)).body;
  await waitFor(async () => (await log("status=delivered")).items.length === 5, { what: "five records" });
  const all = (await log("")).items;
  expect(all.map(({ createdAt }: { createdAt: string }) => createdAt)).toEqual(
    all
      .map(({ createdAt }: { createdAt: string }) => createdAt)
      .toSorted()
      .reverse(),
  );
  const first = await log("limit=3");
  const second = await log(`limit=3&cursor=${first.nextCursor}`);
  expect([...first.items, ...second.items]).toEqual(all);
  expect(second.nextCursor).toBeNull();
  expect((await log("eventType=job.failed")).items).toHaveLength(2);
  expect((await log("status=failed")).items).toEqual([]);
  expect((await log("status=delivering")).items).toEqual([]);
});

it("a replay is a new event with the same data, and names the original delivery beside it", async () => {
  const { id, secret } = await create();
  await publish("job.completed", { big: 12345678901234567890n.toString(), list: [1] });
  const original = await logged(id, "delivered");
  const { status, body } = await call("POST", `/v1/webhook-deliveries/${original.id}/replay`);
  expect({ status, body }).toEqual({
    status: 200,
    body: {
      originalDeliveryId: original.id,
      replayDeliveryId: expect.stringMatching(uuid),
      scheduledAt: expect.stringMatching(time),
    },
  });
  const [first, second] = await received(2);
  expect(isFromLayers(second!, secret)).toBe(true);
  const [sent, again] = [JSON.parse(first!.body), JSON.parse(second!.body)];
  expect(again).toEqual({ ...sent, id: expect.stringMatching(eventId), replayOf: original.id });
  expect(again.id).not.toBe(sent.id);
  await waitFor(
    async () => {
      const { items } = (await call("GET", `${path}/${id}/deliveries?status=delivered`)).body;
      return items[0].id === body.replayDeliveryId && items[0].eventId === again.id;
    },
    { what: "the replay in the log" },
  );
});

it("a paused endpoint gets nothing before it is active again; a deletion abandons what waits", async () => {
  const { id } = await create();
  await call("PATCH", `${path}/${id}`, { status: "paused" });
  const { deliveryId } = (await call("POST", `${path}/${id}/test`)).body;
  expect((await logged(id, "pending")).id).toBe(deliveryId);
  expect(receiver.requests).toEqual([]);
  await call("PATCH", `${path}/${id}`, { status: "active" });
  await received(1);

  await logged(id, "delivered");
  await call("PATCH", `${path}/${id}`, { status: "paused" });
  const waiting = (await call("POST", `${path}/${id}/test`)).body.deliveryId;
  await call("DELETE", `${path}/${id}`);
  const { status, statusReason } = await native<{ status: string; statusReason: string }>(
    "GET",
    `/v1/deliveries/${waiting}`,
  );
  expect({ status, statusReason }).toEqual({
    status: "DELIVERY_STATUS_CANCELLED",
    statusReason: "the webhook was deleted",
  });
  expect((await call("POST", `/v1/webhook-deliveries/${waiting}/replay`)).status).toBe(404);
});

it("the requestId of an error leads to a line of the log", async () => {
  const reply = await call("POST", path, { url: receiver.url, events: ["job.exploded"] });
  expect(reply.status).toBe(422);
  const { requestId } = reply.body.error;
  await waitFor(() => tellwire.output().includes(requestId), { what: "the line" });
  const line =
    tellwire
      .output()
      .split("\n")
      .find((text) => text.includes(requestId)) ?? "";
  expect(JSON.parse(line)).toMatchObject({ requestId, method: `layers POST ${path}`, status: 422, reason: "invalid" });
});

it("two identical creations with one Idempotency-Key, sent at the same moment, create one endpoint and get the same bytes", async () => {
  const headers = {
    "x-api-key": key,
    "idempotency-key": randomUUID(),
    "content-type": "application/json",
  };
  const body = JSON.stringify({ url: receiver.url, events: ["job.completed"] });
  const send = async () => {
    const response = await fetch(`${tellwire.httpUrl}${path}`, { method: "POST", headers, body });
    return { status: response.status, text: await response.text() };
  };
  const [first, second] = await Promise.all([send(), send()]);
  expect(first.status).toBe(201);
  expect(second).toEqual(first);
  expect(await send()).toEqual(first);
  const { items } = (await call("GET", path)).body;
  expect(items.map(({ id }: { id: string }) => id)).toEqual([JSON.parse(first.text).endpoint.id]);
});
