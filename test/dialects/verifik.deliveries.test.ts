import { createHmac, timingSafeEqual } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type ReceivedRequest, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import { createDialectCall, type DialectCall } from "./serve-dialect.ts";

let database: TestDatabase;
let tellwire: TellwireProcess;
let receiver: Receiver;
let operator: RestClient;
let native: RestClient;
let verifik: DialectCall;

beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: database.url }));
  operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
});
afterAll(async () => {
  await tellwire?.stop();
  await database?.drop();
});
beforeEach(async () => {
  receiver = await startReceiver();
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Client" });
  const { key } = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, { name: "token" });
  native = createRestClient(tellwire.httpUrl, key);
  const call = createDialectCall(tellwire.httpUrl);
  verifik = (method, path, options) => call(method, path, { key, ...options });
  return () => receiver.close();
});

async function createWebhook(values: Record<string, unknown>): Promise<string> {
  const body = { url: receiver.url, name: "Production Webhook", isActive: true, ...values };
  const reply = await verifik("POST", "/v2/webhooks", { body });
  expect(reply).toMatchObject({ status: 201, body: { success: true } });
  return reply.body.data._id;
}

async function publish(type: string, data: unknown, values: Record<string, unknown> = {}): Promise<void> {
  await native("POST", "/v1/events", { type, data, ...values });
}

/** As the documents tell receivers: `sha256=` and the HMAC-SHA256 of the raw body with the webhook's secret, in hexadecimal. */
function isFromVerifik({ body, headers }: ReceivedRequest, secret: string): boolean {
  const given = Buffer.from(String(headers["x-verifik-signature"]));
  const expected = Buffer.from(`sha256=${createHmac("sha256", secret).update(body).digest("hex")}`);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

it("a receiver that verifies as the documents say accepts the notification", async () => {
  await createWebhook({ events: ["validation.completed"], secret: "webhook_secret_key_123456789" });
  await publish("login.completed", { not: "wanted" });
  await publish("validation.completed", { status: "completed", name: "Zoë" });
  await waitFor(() => receiver.requests.length > 0, { what: "the notification" });
  const [request] = receiver.requests;
  expect(isFromVerifik(request!, "webhook_secret_key_123456789")).toBe(true);
  expect(isFromVerifik(request!, "another secret")).toBe(false);
  expect(request).toMatchObject({ method: "POST", path: "/hook", headers: { "content-type": "application/json" } });
  const notification = JSON.parse(request!.body) as { id: string };
  expect(notification).toEqual({
    id: expect.stringMatching(/^evt_\w{26}$/),
    type: "validation.completed",
    data: { status: "completed", name: "Zoë" },
  });
  expect(receiver.requests).toHaveLength(1);
});

it("the secret of an update signs alone from then on", async () => {
  const id = await createWebhook({ secret: "the old one" });
  await publish("login.completed", 1);
  await waitFor(() => receiver.requests.length === 1, { what: "the first notification" });
  await verifik("PUT", `/v2/webhooks/${id}`, { body: { secret: "the new one" } });
  await publish("login.completed", 2);
  await waitFor(() => receiver.requests.length === 2, { what: "the second notification" });
  expect(receiver.requests.map((request) => isFromVerifik(request, "the old one"))).toEqual([true, false]);
  expect(receiver.requests.map((request) => isFromVerifik(request, "the new one"))).toEqual([false, true]);
});

it("a webhook gets events while isActive is true, and nothing of the time when it was not", async () => {
  await createWebhook({ name: "Always", url: `${receiver.url}/always` });
  const id = await createWebhook({ url: `${receiver.url}/switched`, isActive: false });
  const dataAt = (path: string) =>
    receiver.requests
      .filter((request) => request.path === path)
      .map(({ body }) => (JSON.parse(body) as { data: unknown }).data);
  // Who gets an event is decided when it is dispatched, a moment after it was published: the other webhook tells when it was.
  const publishAndDispatch = async (data: string) => {
    await publish("login.completed", data);
    await waitFor(() => dataAt("/hook/always").includes(data), {
      what: `the notification "${data}" of the other webhook`,
    });
  };
  const put = async (isActive: boolean) => {
    const { body } = await verifik("PUT", `/v2/webhooks/${id}`, { body: { isActive } });
    expect(body.data.isActive).toBe(isActive);
  };
  await publishAndDispatch("while off");
  await put(true);
  await publishAndDispatch("while on");
  await put(false);
  await publishAndDispatch("off again");
  await put(true);
  await publishAndDispatch("on again");
  await waitFor(() => dataAt("/hook/switched").includes("on again"), { what: "the last notification" });
  expect(dataAt("/hook/switched")).toEqual(["while on", "on again"]);
});

it("a webhook with links gets the events of its project flows", async () => {
  await createWebhook({ link: ["flow_1", "flow_2"] });
  await publish("login.completed", "no project");
  await publish("login.completed", "another project", { projectId: "flow_3" });
  await publish("login.completed", "its project", { projectId: "flow_2" });
  await waitFor(() => receiver.requests.length > 0, { what: "the notification" });
  expect(receiver.requests.map(({ body }) => (JSON.parse(body) as { data: unknown }).data)).toEqual(["its project"]);
});

it("statistics are empty until the first delivery, then count requests", async () => {
  const id = await createWebhook({});
  const statistics = async () => (await verifik("GET", `/v2/webhooks/${id}`)).body.data.statistics;
  expect(await statistics()).toEqual({});
  // The second one fails, and is sent again after five seconds: that one is not counted before it is answered.
  receiver.respondWith((_request, index) => (index > 1 ? "hang" : { status: index === 1 ? 500 : 204 }));
  await publish("login.completed", 1);
  await waitFor(() => receiver.requests.length === 1, { what: "the first notification" });
  await publish("login.completed", 2);
  const counted = await waitFor(
    async () => {
      const now = await statistics();
      return now.totalRequests === 2 && now;
    },
    { what: "both requests in the statistics" },
  );
  expect(counted).toEqual({
    totalRequests: 2,
    successfulRequests: 1,
    failedRequests: 1,
    lastTriggered: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  });
});
