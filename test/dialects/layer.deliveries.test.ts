import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";
import { isSignedByLayer, isSignedByLayerOnceParsed } from "./layer-receiver.ts";
import { layerVerdict } from "./layer-verdict.ts";
import { createDialectCall, type DialectCall } from "./serve-dialect.ts";

const secret = "1697f925ec7b1697f925ec7b";
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The data of an event, written as JSON.stringify would not write it. */
const published = String.raw`{ "message": { "id": "layer:///messages/1", "parts": [ { "body": "Zo\u00eb \/ ✓ <b>", "size": 1.50e2 } ],
  "2": true, "1": null, "big": 12345678901234567890 }, "actor": { "user_id": "12345" } }`;
const message = {
  id: "layer:///messages/1",
  parts: [{ body: "Zoë / ✓ <b>", size: 150 }],
  "2": true,
  "1": null,
  // The nearest double, as every receiver in JavaScript would read it.
  big: Number("12345678901234567890"),
};

let database: TestDatabase;
let tellwire: TellwireProcess;
let operator: RestClient;
let layer: DialectCall;
beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(
    tellwireSettings({ TELLWIRE_DATABASE_URL: database.url, TELLWIRE_PUBLIC_URL: "https://api.layer.com" }),
  );
  operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
  layer = createDialectCall(tellwire.httpUrl);
});
afterAll(async () => {
  await tellwire?.stop();
  await database?.drop();
});

let key: string;
let path: string;
let native: RestClient;
let receiver: Receiver;
beforeEach(async () => {
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "App" });
  ({ key } = await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, { name: "test" }));
  path = `/apps/${parseId("organization", id)}/webhooks`;
  native = createRestClient(tellwire.httpUrl, key);
  receiver = await startReceiver(echoing(() => ({ status: 200 })));
});
afterEach(() => receiver.close());

/** Agrees to be called, and answers events in its own way. */
function echoing(respond: Respond): Respond {
  return (request, index) => (request.method === "GET" ? echoChallenge(request) : respond(request, index));
}

/** Registers a webhook, waits until it is active, and answers with its own path. */
async function activeWebhook(body: Record<string, unknown>): Promise<string> {
  const { status, body: registered } = await layer("POST", path, { key, body });
  expect(status).toBe(201);
  const own = new URL(registered.url).pathname;
  expect((await verdict(own)).webhook.status).toBe("active");
  return own;
}

function verdict(own: string) {
  return layerVerdict((method, rest) => layer(method, own + rest, { key }));
}

async function publish(type: string, dataJson = published): Promise<string> {
  const event = { type, dataJson: Buffer.from(dataJson).toString("base64"), occurTime: "2015-09-17T20:46:47.561Z" };
  return (await native<{ eventId: string }>("POST", "/v1/events", event)).eventId;
}

const posts = () => receiver.requests.filter(({ method }) => method === "POST");

async function deliveriesOf(own: string) {
  type Delivery = { id: string; status: string; attempts?: { error?: string; latency: string }[] };
  const webhookId = own.split("/").at(-1);
  const { deliveries = [] } = await native<{ deliveries?: Delivery[] }>("GET", `/v1/deliveries?webhookId=${webhookId}`);
  return await Promise.all(deliveries.map(({ id }) => native<Delivery>("GET", `/v1/deliveries/${id}`)));
}

describe("what receivers get", () => {
  const config = { key1: "value1", key2: "value2" };

  it.each(["1.0", "2.0", "3.0"])("a webhook of version %s gets what its documents promise", async (version) => {
    const own = await activeWebhook({ version, target_url: receiver.url, events: ["message.sent"], secret, config });
    const eventId = await publish("message.sent");
    await publish("message.read");
    const request = await waitFor(() => posts()[0]);
    expect(request.headers).toMatchObject({
      "content-type": `application/vnd.layer.webhooks+json; version=${version}`,
      "user-agent": `layer-webhooks/${version}`,
      "layer-webhook-event-type": "message.sent",
      "layer-webhook-request-id": expect.stringMatching(uuid),
      "layer-webhook-id": own.split("/").at(-1),
      "layer-webhook-signature": expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    const event = {
      created_at: "2015-09-17T20:46:47.561Z",
      type: "message.sent",
      id: parseId("event", eventId),
      actor: { user_id: "12345" },
    };
    expect(JSON.parse(request.body)).toEqual({ event, message, config });
    expect(Object.keys(JSON.parse(request.body))).toEqual(["event", "message", "config"]);
    expect(isSignedByLayer(request, secret)).toBe(true);
    expect(isSignedByLayerOnceParsed(request, secret)).toBe(true);
    expect(isSignedByLayer({ ...request, body: request.body.replace("layer", "lawyer") }, secret)).toBe(false);
    expect(posts()).toHaveLength(1);
  });

  it("a webhook of the pre-release generation gets its metadata at the top", async () => {
    await activeWebhook({ target_url: receiver.url, event_types: ["user.registered"], secret, target_config: config });
    const eventId = await publish("user.registered");
    const request = await waitFor(() => posts()[0]);
    expect(request.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(request.body)).toEqual({
      event_timestamp: "2015-09-17T20:46:47.561Z",
      event_type: "user.registered",
      event_id: parseId("event", eventId),
      actor: { user_id: "12345" },
      message,
      config,
    });
    expect(isSignedByLayer(request, secret)).toBe(true);
    expect(isSignedByLayerOnceParsed(request, secret)).toBe(true);
  });

  it("a new secret signs from the change on, and the old one no more", async () => {
    const own = await activeWebhook({ version: "2.0", target_url: receiver.url, events: ["message.sent"], secret });
    expect((await layer("PATCH", own, { key, body: { secret: "another secret" } })).status).toBe(200);
    await publish("message.sent");
    const request = await waitFor(() => posts()[0]);
    expect(isSignedByLayer(request, "another secret")).toBe(true);
    expect(isSignedByLayer(request, secret)).toBe(false);
  });
});

describe("when receivers fail", () => {
  it("a receiver that failed its verification gets no event, and one that echoed does", async () => {
    const refusing = await startReceiver(() => ({ status: 404 }));
    const body = { version: "1.0", target_url: refusing.url, events: ["message.sent"], secret };
    const { body: refused } = await layer("POST", path, { key, body });
    const own = new URL(refused.url).pathname;
    const { webhook: inactive } = await verdict(own);
    expect(inactive).toMatchObject({ status: "inactive", status_reason: expect.stringContaining("404") });
    await activeWebhook({ ...body, target_url: receiver.url });
    await publish("message.sent");
    await waitFor(() => posts().length === 1);
    expect(await deliveriesOf(own)).toEqual([]);
    expect(new Set(refusing.requests.map(({ method }) => method))).toEqual(new Set(["GET"]));
    await refusing.close();
  });

  it("a receiver slower than a second has failed, and the request comes again under the same id", async () => {
    const own = await activeWebhook({ version: "1.0", target_url: receiver.url, events: ["message.sent"], secret });
    receiver.respondWith(echoing(() => (posts().length === 1 ? "hang" : { status: 200 })));
    await publish("message.sent");
    const delivery = await waitFor(async () => {
      const [found] = await deliveriesOf(own);
      return found?.attempts?.[0] === undefined ? undefined : found;
    });
    expect(delivery).toMatchObject({
      status: "DELIVERY_STATUS_SCHEDULED",
      attempts: [{ error: "ATTEMPT_ERROR_TIMEOUT" }],
    });
    // Not before the second is over, and long before the server's own 15 seconds, however busy this machine is.
    const latency = Number.parseFloat(delivery.attempts?.[0]?.latency ?? "");
    expect(latency).toBeGreaterThan(0.9);
    expect(latency).toBeLessThan(10);
    await native("POST", `/v1/deliveries/${delivery.id}:retry`, {});
    const [first, second] = await waitFor(() => (posts().length === 2 ? posts() : undefined));
    expect(second?.headers["layer-webhook-request-id"]).toBe(first?.headers["layer-webhook-request-id"]);
    expect(second?.body).toBe(first?.body);
  });

  it("deactivating drops everything that waits, and what comes later is not for the webhook", async () => {
    const own = await activeWebhook({ version: "1.0", target_url: receiver.url, events: ["message.sent"], secret });
    receiver.respondWith(echoing(() => ({ status: 500 })));
    await publish("message.sent");
    await publish("message.sent");
    const scheduled = async () => (await deliveriesOf(own)).filter(({ status }) => status.endsWith("SCHEDULED"));
    await waitFor(async () => (await scheduled()).length === 2);
    expect((await layer("POST", `${own}/deactivate`, { key })).body.status).toBe("inactive");
    expect((await deliveriesOf(own)).map(({ status }) => status)).toEqual(Array(2).fill("DELIVERY_STATUS_CANCELLED"));

    receiver.respondWith(echoing(() => ({ status: 200 })));
    const other = await startReceiver(echoing(() => ({ status: 200 })));
    await activeWebhook({ version: "1.0", target_url: other.url, events: ["message.sent"], secret });
    const missed = parseId("event", await publish("message.sent"))!;
    // Who gets an event is decided when it is dispatched, a moment after it was published: the other webhook tells when it was.
    await waitFor(() => other.requests.some(({ body }) => body.includes(missed)), {
      what: "the event at the other one",
    });
    expect((await layer("POST", `${own}/activate`, { key })).body.status).toBe("unverified");
    expect((await verdict(own)).webhook.status).toBe("active");
    const before = posts().length;
    const last = await publish("message.sent");
    await waitFor(() => posts().length > before);
    expect(posts().slice(before)).toMatchObject([{ body: expect.stringContaining(parseId("event", last)!) }]);
    await waitFor(async () => (await deliveriesOf(own)).length === 3);
    await other.close();
  });
});

describe("the other front doors", () => {
  it("a Layer webhook stands in the native list with its format, and a pause there is an inactive webhook here", async () => {
    const own = await activeWebhook({ version: "3.0", target_url: receiver.url, events: ["Message.created"], secret });
    const id = own.split("/").at(-1) ?? "";
    type Native = { id: string; format: string; status: string; eventTypes: string[] };
    const { webhooks } = await native<{ webhooks: Native[] }>("GET", "/v1/webhooks");
    expect(webhooks).toMatchObject([
      { format: "WEBHOOK_FORMAT_LAYER_3_0", status: "WEBHOOK_STATUS_ACTIVE", eventTypes: ["Message.created"] },
    ]);
    expect(parseId("webhook", webhooks[0]?.id ?? "")).toBe(id);

    await native("POST", `/v1/webhooks/${id}:pause`, { reason: "maintenance" });
    const paused = await layer("GET", own, { key });
    expect(paused.body).toMatchObject({ status: "inactive", status_reason: "maintenance" });
    await native("POST", `/v1/webhooks/${id}:resume`, {});
    expect((await layer("GET", own, { key })).body).not.toHaveProperty("status_reason");
  });

  it("a webhook that the native API made in one of Layer's formats is one of Layer's, and no other is", async () => {
    const webhook = { url: receiver.url, eventTypes: ["message.*"] };
    await native("POST", "/v1/webhooks", webhook);
    await native("POST", "/v1/webhooks", { ...webhook, format: "WEBHOOK_FORMAT_LAYER_1_0", config: { a: 1 } });
    const { body } = await layer("GET", path, { key });
    expect(body).toMatchObject([{ version: "1.0", events: ["message.*"], config: { a: 1 } }]);
    expect(new URL(body[0].url).origin).toBe("https://api.layer.com");
  });
});
