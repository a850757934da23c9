import { once } from "node:events";
import { get } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { layerWebhookSchema } from "../../src/dialects/layer/layer-webhook.ts";
import { parseId } from "../../src/domain/ids.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

/** The request of the pre-release document, with the comma that it lacks. */
const preReleaseRequest = `{
    "target_url": "https://mydomain.com/my-webhook-endpoint",
    "event_types": [
      "user.registered",
      "conversation.created"
    ],
	"secret": "1697f925ec7b1697f925ec7b",
	"target_config" : {
		"key1" : "value1",
		"key2" : "value2"
	}
}`;

/** The request of the document of version 2.0, without the comma that it has too many. */
const versionedRequest = `{
    "version": "2.0",
    "target_url": "https://mydomain.com/my-webhook-endpoint",
    "events": [
        "conversation.created",
        "message.sent"
    ],
    "secret": "1697f925ec7b1697f925ec7b",
    "config": {
        "key1": "value1",
        "key2": "value2"
    }
}`;

/** The representation in the document of version 3.0, whose list of events is cut off there. */
const thirdVersionRequest = {
  version: "3.0",
  target_url: "https://server.example.com/layeruser/foo",
  events: ["Message.created", "Conversation.created"],
  secret: "1697f925ec7b1697f925ec7b",
  config: { key1: "value1", key2: "value2" },
};

const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const publicUrl = "https://api.layer.com";
/** `2015-03-14T13:37:27Z`. */
const seconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

let api: TestApi;
let layer: ServedDialect;
beforeAll(async () => {
  api = await startApi();
  layer = await serveDialect(api, createLayerDialect(api.useCases, { publicUrl: `${publicUrl}/`, scheme: "http" }));
});
afterAll(async () => {
  await layer.close();
  await api.close();
});

async function newApp(): Promise<{ app: string; key: string; path: string }> {
  const { id, key } = await api.addOrganization();
  const app = parseId("organization", id)!;
  return { app, key, path: `/apps/${app}/webhooks` };
}

const accept = (version: string) => ({ accept: `application/vnd.layer.webhooks+json; version=${version}` });

describe("the documented requests, as they stand", () => {
  const cases = [
    {
      generation: "pre-release",
      request: preReleaseRequest,
      headers: {},
      // In the order of the document; the times and ids are checked by their form.
      answer: {
        id: "",
        url: "",
        target_url: "https://mydomain.com/my-webhook-endpoint",
        event_types: ["user.registered", "conversation.created"],
        status: "unverified",
        created_at: "",
        target_config: { key1: "value1", key2: "value2" },
      },
    },
    {
      generation: "2.0",
      request: versionedRequest,
      headers: accept("2.0"),
      answer: {
        id: "",
        url: "",
        version: "2.0",
        target_url: "https://mydomain.com/my-webhook-endpoint",
        events: ["conversation.created", "message.sent"],
        status: "unverified",
        created_at: "",
        config: { key1: "value1", key2: "value2" },
      },
    },
    {
      generation: "3.0",
      request: JSON.stringify(thirdVersionRequest),
      headers: accept("3.0"),
      answer: {
        id: "",
        url: "",
        version: "3.0",
        target_url: "https://server.example.com/layeruser/foo",
        events: ["Message.created", "Conversation.created"],
        status: "unverified",
        created_at: "",
        config: { key1: "value1", key2: "value2" },
      },
    },
  ];

  it.each(cases)("registering a $generation webhook answers what the document shows", async (example) => {
    const { app, key, path } = await newApp();
    const { status, body, headers } = await layer.call("POST", path, {
      key,
      body: example.request,
      headers: example.headers,
    });
    expect(status).toBe(201);
    expect(headers.get("content-type")).toBe("application/json");
    expect(body).toEqual({
      ...example.answer,
      id: expect.stringMatching(new RegExp(`^layer:///apps/${app}/webhooks/${uuid}$`)),
      url: expect.stringMatching(new RegExp(`^${publicUrl}/apps/${app}/webhooks/${uuid}$`)),
      created_at: expect.stringMatching(seconds),
    });
    expect(Object.keys(body)).toEqual(Object.keys(example.answer));
    expect(body.id.slice("layer://".length)).toBe(body.url.slice(publicUrl.length));
    expect(layerWebhookSchema.parse(body)).toEqual(body);
  });
});

describe("the life of a webhook", () => {
  it("one that was registered is read at its url, and stands in a bare array, each in its own generation", async () => {
    const { key, path } = await newApp();
    const made = [];
    for (const body of [preReleaseRequest, versionedRequest, thirdVersionRequest]) {
      // Those of one millisecond are in no order.
      api.advance(2);
      made.push((await layer.call("POST", path, { key, body })).body);
    }
    for (const webhook of made) {
      const read = await layer.call("GET", webhook.url.slice(publicUrl.length), { key, headers: accept("1.0") });
      expect(read).toMatchObject({ status: 200, body: webhook });
    }
    const listed = await layer.call("GET", path, { key });
    expect(listed).toMatchObject({ status: 200, body: made.toReversed() });
    expect(JSON.stringify([made, listed.body])).not.toContain("1697f925ec7b1697f925ec7b");
  });

  it("a list has every webhook, however many there are", async () => {
    const { key, path } = await newApp();
    const ids: string[] = [];
    // As many at once as there are connections to the database: none waits for one in vain.
    while (ids.length < 205) {
      const registering = Array.from({ length: 5 }, () => layer.call("POST", path, { key, body: versionedRequest }));
      ids.push(...(await Promise.all(registering)).map(({ body }) => body.id));
    }
    const { body } = await layer.call("GET", path, { key });
    expect(body.map(({ id }: { id: string }) => id).sort()).toEqual(ids.sort());
    expect((await layer.call("GET", (await newApp()).path, { key: "none" })).status).toBe(401);
  });

  it("an app without webhooks has an empty list", async () => {
    const { key, path } = await newApp();
    expect(await layer.call("GET", path, { key })).toMatchObject({ status: 200, body: [] });
  });

  it("deactivating answers an inactive webhook with its reason, and activating an unverified one", async () => {
    const { key, path } = await newApp();
    const { body: registered } = await layer.call("POST", path, { key, body: versionedRequest });
    const own = registered.url.slice(publicUrl.length);
    const inactive = { ...registered, status: "inactive", status_reason: "Deactivated by User" };
    expect(await layer.call("POST", `${own}/deactivate`, { key })).toMatchObject({ status: 200, body: inactive });
    expect(await layer.call("POST", `${own}/deactivate`, { key })).toMatchObject({ status: 200, body: inactive });
    const reread = await layer.call("GET", own, { key });
    expect(reread.body).toEqual(inactive);
    expect(Object.keys(reread.body)).toEqual(Object.keys(inactive).toSpliced(-1).toSpliced(6, 0, "status_reason"));
    const activated = await layer.call("POST", `${own}/activate`, { key });
    expect(activated.status).toBe(200);
    expect(activated.body).toEqual(registered);
  });

  it("one that was deleted is gone", async () => {
    const { key, path } = await newApp();
    const { body: registered } = await layer.call("POST", path, { key, body: versionedRequest });
    const own = registered.url.slice(publicUrl.length);
    expect(await layer.call("DELETE", own, { key })).toMatchObject({ status: 204, body: undefined });
    expect(await layer.call("GET", own, { key })).toMatchObject({ status: 404, body: { code: 102 } });
    expect((await layer.call("GET", path, { key })).body).toEqual([]);
  });

  it("a change takes any part of what a creation takes, and leaves the rest", async () => {
    const { key, path } = await newApp();
    const { body: registered } = await layer.call("POST", path, { key, body: versionedRequest });
    const own = registered.url.slice(publicUrl.length);
    const patch = async (body: unknown) => await layer.call("PATCH", own, { key, body });
    expect(await patch({})).toMatchObject({ status: 200, body: registered });
    expect((await patch({ events: ["message.read", "message.read"] })).body).toEqual({
      ...registered,
      events: ["message.read"],
    });
    expect((await patch({ config: { a: [1, { b: null }] } })).body.config).toEqual({ a: [1, { b: null }] });
    expect(Object.keys((await patch({ config: null })).body)).not.toContain("config");
    expect((await patch({ version: "3.0" })).body).toMatchObject({ version: "3.0", events: ["message.read"] });
    const moved = await patch({ target_url: "https://mydomain.com/another", secret: "another secret" });
    expect(moved.body).toMatchObject({ target_url: "https://mydomain.com/another", status: "unverified" });
    expect(JSON.stringify(moved.body)).not.toContain("another secret");
  });

  it("a pre-release webhook is changed by its own names, and becomes one of a version by naming it", async () => {
    const { key, path } = await newApp();
    const { body: registered } = await layer.call("POST", path, { key, body: preReleaseRequest });
    const own = registered.url.slice(publicUrl.length);
    const changed = await layer.call("PATCH", own, {
      key,
      body: { event_types: ["user.registered"], target_config: { key3: "value3" } },
    });
    expect(changed.body).toEqual({
      ...registered,
      event_types: ["user.registered"],
      target_config: { key3: "value3" },
    });
    const { body } = await layer.call("PATCH", own, { key, body: { version: "1.0" } });
    expect(body).toMatchObject({ version: "1.0", events: ["user.registered"], config: { key3: "value3" } });
    expect(Object.keys(body)).not.toContain("event_types");
  });
});

describe("what the documents leave open", () => {
  it("a creation without version and event_types speaks the version of its Accept header", async () => {
    const { key, path } = await newApp();
    const { version: _, ...body } = thirdVersionRequest;
    const spoken = await layer.call("POST", path, { key, body, headers: accept("1.0") });
    expect(spoken).toMatchObject({ status: 201, body: { version: "1.0" } });
    const silent = await layer.call("POST", path, { key, body });
    expect(silent).toMatchObject({ status: 422, body: { id: "missing_property", data: { property: "version" } } });
  });

  it("a webhook without config answers none, and properties that nobody knows are ignored", async () => {
    const { key, path } = await newApp();
    const { config: _, ...request } = thirdVersionRequest;
    const { status, body } = await layer.call("POST", path, { key, body: { ...request, color: "red" } });
    expect(status).toBe(201);
    expect(Object.keys(body)).toEqual(["id", "url", "version", "target_url", "events", "status", "created_at"]);
  });

  it("a host that is nothing but slashes takes no longer than any other", async () => {
    const served = await serveDialect(api, createLayerDialect(api.useCases, { publicUrl: undefined, scheme: "http" }));
    const { key, path } = await newApp();
    const headers = { authorization: `Bearer ${key}`, host: `${"/".repeat(15_000)}x` };
    // What this process works, and not what it waits for others.
    const before = process.cpuUsage();
    for (let requests = 0; requests < 40; requests += 1) {
      const [response] = await once(get(`${served.baseUrl}${path}`, { headers, agent: false }), "response");
      expect(response.resume().statusCode).toBe(200);
    }
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(4_000);
    await served.close();
  });

  it("without a public URL, a webhook's url leads to where the request went", async () => {
    const served = await serveDialect(api, createLayerDialect(api.useCases, { publicUrl: undefined, scheme: "http" }));
    const { key, path } = await newApp();
    const { body } = await served.call("POST", path, { key, body: versionedRequest });
    expect(body.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/apps\//);
    expect((await fetch(body.url, { headers: { authorization: `Bearer ${key}` } })).status).toBe(200);
    await served.close();
  });
});
