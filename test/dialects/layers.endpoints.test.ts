import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { VerificationMethod, WebhookFormat, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { type Clients, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { type DialectReply, type ServedDialect, serveDialect } from "./serve-dialect.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const path = "/v1/webhook-endpoints";

let api: TestApi;
let layers: ServedDialect;
let organization: { id: string; key: string; clients: Clients };

beforeAll(async () => {
  api = await startApi();
  layers = await serveDialect(api, createLayersDialect(api.useCases));
});
afterAll(async () => {
  await layers?.close();
  await api?.close();
});
beforeEach(async () => {
  organization = await api.addOrganization();
});

function call(method: string, target: string, body?: unknown, key = organization.key): Promise<DialectReply> {
  return layers.call(method, target, { headers: { "x-api-key": key }, ...(body === undefined ? {} : { body }) });
}

async function create(values: Record<string, unknown> = {}) {
  // Those of one millisecond are in no order.
  api.advance(2);
  const body = { url: "https://your-app.example.com/hooks", events: ["job.completed"], ...values };
  const reply = await call("POST", path, body);
  expect(reply.status).toBe(201);
  return reply.body;
}

/** The body of the documents' example, as it stands. */
const example = `{
        "url": "https://your-app.example.com/layers/webhooks",
        "events": ["job.completed", "job.failed", "content.approved"],
        "description": "prod reconciler"
      }`;

it("the documented creation is answered as documented, field for field and in their order", async () => {
  const headers = { "x-api-key": organization.key, "idempotency-key": randomUUID() };
  const { status, body } = await layers.call("POST", path, { body: example, headers });
  expect(status).toBe(201);
  const documented = {
    endpoint: {
      id: expect.stringMatching(uuid),
      organizationId: parseId("organization", organization.id),
      projectId: null,
      url: "https://your-app.example.com/layers/webhooks",
      description: "prod reconciler",
      status: "active",
      events: ["job.completed", "job.failed", "content.approved"],
      apiVersion: "v1",
      createdAt: expect.stringMatching(time),
      updatedAt: expect.stringMatching(time),
      lastSuccessAt: null,
      lastFailureAt: null,
      consecutiveFailureCount: 0,
    },
    signingSecret: expect.stringMatching(/^whsec_.{24,}$/),
    warning:
      "Signing secret shown once. Store it securely — rotate via POST /v1/webhook-endpoints/:id/rotate-secret if compromised.",
  };
  expect(body).toEqual(documented);
  expect(Object.keys(body)).toEqual(Object.keys(documented));
  expect(Object.keys(body.endpoint)).toEqual(Object.keys(documented.endpoint));
});

it("what is left out is null, an event that is named twice counts once, and unknown fields are ignored", async () => {
  const { endpoint } = await create({ events: ["job.failed", "job.failed", "post.failed"], color: "red" });
  expect(endpoint).toMatchObject({ description: null, projectId: null, events: ["job.failed", "post.failed"] });
});

it("http://localhost is accepted where the operator allows plain http and the address", async () => {
  expect((await create({ url: "http://localhost:3000/hooks" })).endpoint.url).toBe("http://localhost:3000/hooks");
});

describe("keys", () => {
  it("X-Api-Key wins over Authorization, which counts where it stands alone", async () => {
    const other = await api.addOrganization();
    const { endpoint } = await create();
    const get = (headers: Record<string, string>) => layers.call("GET", `${path}/${endpoint.id}`, { headers });
    const bearer = `Bearer ${organization.key}`;
    expect((await get({ authorization: bearer })).status).toBe(200);
    expect((await get({ authorization: bearer, "x-api-key": "" })).status).toBe(200);
    expect((await get({ authorization: "Bearer nonsense", "x-api-key": organization.key })).status).toBe(200);
    expect((await get({ authorization: bearer, "x-api-key": other.key })).status).toBe(404);
    expect((await get({ authorization: bearer, "x-api-key": "nonsense" })).status).toBe(401);
  });

  it("nobody sees, changes or deletes the endpoint of another organization", async () => {
    const { endpoint } = await create();
    const { key } = await api.addOrganization();
    const target = `${path}/${endpoint.id}`;
    const attempts: [method: string, target: string, body?: unknown][] = [
      ["GET", target],
      ["PATCH", target, { status: "paused" }],
      ["DELETE", target],
      ["POST", `${target}/rotate-secret`],
      ["POST", `${target}/test`],
      ["GET", `${target}/deliveries`],
    ];
    for (const [method, at, body] of attempts) {
      const reply = await call(method, at, body, key);
      expect([method, at, reply.status, reply.body.error.code]).toEqual([method, at, 404, "NOT_FOUND"]);
    }
    expect((await call("GET", path, undefined, key)).body).toEqual({ items: [], nextCursor: null });
    expect((await call("GET", target)).body).toEqual(endpoint);
  });
});

describe("reading", () => {
  it("one endpoint is answered bare, without its secret", async () => {
    const { endpoint } = await create();
    expect(await call("GET", `${path}/${endpoint.id}`)).toMatchObject({ status: 200, body: endpoint });
    expect(Object.keys((await call("GET", `${path}/${endpoint.id}`)).body)).toEqual(Object.keys(endpoint));
  });

  it("a list has 25 endpoints a page, newest first, and its cursor leads to the rest", async () => {
    const created: string[] = [];
    for (let number = 0; number < 27; number += 1) created.unshift((await create()).endpoint.id);
    const first = await call("GET", path);
    expect(first.body.items.map(({ id }: { id: string }) => id)).toEqual(created.slice(0, 25));
    const second = await call("GET", `${path}?cursor=${first.body.nextCursor}`);
    expect(second.body.items.map(({ id }: { id: string }) => id)).toEqual(created.slice(25));
    expect(second.body.nextCursor).toBeNull();
    expect((await call("GET", `${path}?limit=100`)).body.items).toHaveLength(27);
  });

  it("a list is cut down to a status, and to a project, which leaves out what is for the whole organization", async () => {
    const projectId = randomUUID();
    const { endpoint: wide } = await create();
    const { endpoint: narrow } = await create({ projectId: projectId.toUpperCase() });
    expect(narrow.projectId).toBe(projectId);
    await call("PATCH", `${path}/${wide.id}`, { status: "paused" });
    const ids = async (query: string) =>
      (await call("GET", `${path}?${query}`)).body.items.map(({ id }: { id: string }) => id);
    expect(await ids(`projectId=${projectId}`)).toEqual([narrow.id]);
    expect(await ids("status=paused")).toEqual([wide.id]);
    expect(await ids("status=active")).toEqual([narrow.id]);
    expect(await ids("status=auto_paused")).toEqual([]);
  });
});

describe("changing", () => {
  it("each field is replaced, null clears the description, and the rest stays", async () => {
    const { endpoint } = await create({ description: "old" });
    const target = `${path}/${endpoint.id}`;
    const changed = await call("PATCH", target, { url: "https://other.example.com/", events: ["post.failed"] });
    expect(changed).toMatchObject({
      status: 200,
      body: { ...endpoint, url: "https://other.example.com/", events: ["post.failed"], updatedAt: expect.any(String) },
    });
    expect((await call("PATCH", target, { description: null })).body.description).toBeNull();
    expect((await call("PATCH", target, { description: "new", status: "paused" })).body).toMatchObject({
      description: "new",
      status: "paused",
    });
    // A new address does not wake what its owner paused.
    expect((await call("PATCH", target, { url: "https://third.example.com/" })).body.status).toBe("paused");
  });

  it("active sets the count of failures back, whatever the status was", async () => {
    const { endpoint } = await create();
    const target = `${path}/${endpoint.id}`;
    const fail = async (status: string) => {
      const em = api.database.em();
      await em.execute("update webhook_health set consecutive_exhausted = 20 where webhook_id = ?", [endpoint.id]);
      await em.execute("update webhook set status = ? where id = ?", [status, endpoint.id]);
    };
    for (const [native, shown] of [
      ["DISABLED", "auto_paused"],
      ["PAUSED", "paused"],
      ["ACTIVE", "active"],
    ] as const) {
      await fail(native);
      expect((await call("GET", target)).body).toMatchObject({ status: shown, consecutiveFailureCount: 20 });
      const { body } = await call("PATCH", target, { status: "active" });
      expect(body).toMatchObject({ status: "active", consecutiveFailureCount: 0 });
    }
    await fail("DISABLED");
    expect((await call("PATCH", target, { status: "paused" })).body.status).toBe("paused");
  });

  it("a rotation answers with a new secret, and with the end of the old one after 24 hours", async () => {
    const { endpoint, signingSecret } = await create();
    const { status, body } = await call("POST", `${path}/${endpoint.id}/rotate-secret`);
    expect(status).toBe(200);
    expect(body).toEqual({
      endpointId: endpoint.id,
      signingSecret: expect.stringMatching(/^whsec_/),
      previousSecretExpiresAt: expect.stringMatching(time),
      warning:
        "Signing secret shown once. The previous secret remains valid for 24 hours — dual-verify both in your handler during cutover.",
    });
    expect(body.signingSecret).not.toBe(signingSecret);
    const aheadMs = Date.parse(body.previousSecretExpiresAt) - Date.now();
    expect(aheadMs / 3_600_000).toBeCloseTo(24, 1);
  });

  it("a deleted endpoint is gone", async () => {
    const { endpoint } = await create();
    const target = `${path}/${endpoint.id}`;
    expect(await call("DELETE", target)).toMatchObject({ status: 200, body: { id: endpoint.id, deleted: true } });
    expect((await call("GET", target)).status).toBe(404);
    expect((await call("DELETE", target)).status).toBe(404);
  });
});

describe("the other front doors", () => {
  it("ListWebhooks shows an endpoint with its format, and what is paused there is paused here", async () => {
    const { endpoint } = await create();
    const { webhooks } = await organization.clients.webhooks.listWebhooks({});
    expect(webhooks).toHaveLength(1);
    const [webhook] = webhooks;
    expect(webhook).toMatchObject({ format: WebhookFormat.LAYERS, status: WebhookStatus.ACTIVE });
    expect(parseId("webhook", webhook!.id)).toBe(endpoint.id);
    await organization.clients.webhooks.pauseWebhook({ id: webhook!.id });
    expect((await call("GET", `${path}/${endpoint.id}`)).body.status).toBe("paused");
  });

  it("webhooks of other formats are no endpoints", async () => {
    const { webhook } = await organization.clients.webhooks.createWebhook({
      webhook: webhookFor("https://other.example.com/"),
    });
    expect((await call("GET", path)).body.items).toEqual([]);
    for (const id of [parseId("webhook", webhook!.id), webhook!.id]) {
      expect((await call("GET", `${path}/${id}`)).status).toBe(404);
      expect((await call("DELETE", `${path}/${id}`)).status).toBe(404);
    }
  });
});

describe("projects", () => {
  const own = randomUUID();
  const foreign = randomUUID();

  it("where the operator has listed the organization's projects, any other one is not found", async () => {
    await api.operator.organizations.updateOrganization({
      organization: { id: organization.id, projectIds: [own] },
    });
    const body = { url: "https://your-app.example.com/", events: ["job.failed"], projectId: foreign };
    const refused = await call("POST", path, body);
    expect(refused).toMatchObject({
      status: 404,
      body: { error: { code: "NOT_FOUND", details: { projectId: foreign } } },
    });
    expect((await call("GET", `${path}?projectId=${foreign}`)).status).toBe(404);
    expect((await call("GET", path)).body.items).toEqual([]);
    expect((await create({ projectId: own })).endpoint.projectId).toBe(own);
  });

  it("somebody who is kept to one is not told which others there are", async () => {
    const organizationId = organization.id;
    await create({ projectId: own });
    await organization.clients.webhooks.createWebhook({
      webhook: webhookFor("https://your-app.example.com/", {
        projectIds: [foreign, own],
        format: WebhookFormat.LAYERS,
        verification: { method: VerificationMethod.NONE },
      }),
    });
    await api.operator.organizations.updateOrganization({
      organization: { id: organizationId, projectIds: [own, foreign] },
    });
    const apiKey = { name: "of a project", projectId: own };
    const { key } = await organization.clients.organizations.createApiKey({ organizationId, apiKey });
    const list = async (query = "") => (await call("GET", path + query, undefined, key)).body;
    const { items } = await list();
    expect(items.map(({ projectId }: { projectId: string }) => projectId)).toEqual([own, own]);
    expect(await list(`?projectId=${own}`)).toEqual(await list());
    for (const projectId of [foreign, randomUUID()]) {
      expect((await list(`?projectId=${projectId}`)).error).toMatchObject({
        code: "NOT_FOUND",
        details: { projectId },
      });
    }
  });

  it("where it has not, every UUID is a project", async () => {
    expect((await create({ projectId: foreign })).endpoint.projectId).toBe(foreign);
  });
});
