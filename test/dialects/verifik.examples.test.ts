import { afterAll, beforeAll, expect, it } from "vitest";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { writeHealth } from "../../src/store/sql/write-health.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { type DialectCall, type ServedDialect, serveDialect } from "./serve-dialect.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The form of the times in the documents. */
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** The request of the page "Create a Webhook", as it stands there. */
const documentedRequest = {
  url: "https://api.example.com/webhooks/verifik",
  name: "Production Webhook",
  isActive: true,
  description: "Main webhook for production notifications",
  link: ["project_flow_123456789"],
  events: ["validation.completed", "validation.failed", "registration.completed", "login.completed"],
  secret: "webhook_secret_key_123456789",
};

/** The answer that the page shows, without ids and times. */
const documentedWebhook = {
  projectFlow: ["project_flow_123456789"],
  statistics: {},
  isActive: true,
  name: "Production Webhook",
  url: "https://api.example.com/webhooks/verifik",
  description: "Main webhook for production notifications",
  events: ["validation.completed", "validation.failed", "registration.completed", "login.completed"],
  secret: "webhook_secret_key_123456789",
  retryPolicy: { maxRetries: 3, retryDelay: 5000, timeout: 30000 },
};

let api: TestApi;
let verifik: ServedDialect;
beforeAll(async () => {
  api = await startApi();
  verifik = await serveDialect(api, createVerifikDialect(api.useCases, { defaultPolicy: DEFAULT_RETRY_POLICY }));
});
afterAll(async () => {
  await verifik.close();
  await api.close();
});

/** A new client with the documented webhook. */
async function withWebhook(): Promise<{ call: DialectCall; client: string; id: string; path: string }> {
  const { id: organization, key } = await api.addOrganization();
  const call: DialectCall = (method, path, options) => verifik.call(method, path, { key, ...options });
  const { status, body } = await call("POST", "/v2/webhooks", { body: documentedRequest });
  expect(status).toBe(201);
  const id: string = body.data._id;
  return { call, client: parseId("organization", organization)!, id, path: `/v2/webhooks/${id}` };
}

it("the documented creation is answered as documented, field for field", async () => {
  const { id: organization, key } = await api.addOrganization();
  const { status, body, headers } = await verifik.call("POST", "/v2/webhooks", { key, body: documentedRequest });
  expect(status).toBe(201);
  expect(headers.get("content-type")).toBe("application/json");
  expect(body).toEqual({
    success: true,
    data: {
      _id: expect.stringMatching(uuid),
      client: parseId("organization", organization),
      ...documentedWebhook,
      createdAt: expect.stringMatching(time),
      updatedAt: expect.stringMatching(time),
    },
  });
  const documentedOrder = ["_id", "client", ...Object.keys(documentedWebhook), "createdAt", "updatedAt"];
  expect(Object.keys(body.data)).toEqual(documentedOrder);
});

it("a webhook is read with its secret and the headers that it sends", async () => {
  const { call, client, id, path } = await withWebhook();
  const { status, body } = await call("GET", path);
  expect(status).toBe(200);
  const times = { createdAt: expect.stringMatching(time), updatedAt: expect.stringMatching(time) };
  expect(body).toEqual({ success: true, data: { _id: id, client, ...documentedWebhook, headers: {}, ...times } });
});

it("a list has every field but the secret, and says how many there are", async () => {
  const { call, client, id } = await withWebhook();
  const { status, body } = await call("GET", "/v2/webhooks?page=1&limit=10&isActive=true&projectFlow=");
  const { secret: _, ...listed } = documentedWebhook;
  const times = { createdAt: expect.stringMatching(time), updatedAt: expect.stringMatching(time) };
  expect({ status, body }).toEqual({
    status: 200,
    body: {
      success: true,
      data: [{ _id: id, client, ...listed, headers: {}, ...times }],
      pagination: { page: 1, limit: 10, total: 1, pages: 1 },
    },
  });
});

it("an update changes what it names and leaves the rest", async () => {
  const { call, client, id, path } = await withWebhook();
  const change = {
    name: "Updated Production Webhook",
    url: "https://api.example.com/webhooks/verifik/updated",
    isActive: true,
    description: "Updated webhook for production notifications",
    events: ["validation.completed", "webhook.test"],
  };
  const { status, body } = await call("PUT", path, { body: change });
  expect(status).toBe(200);
  const times = { createdAt: expect.stringMatching(time), updatedAt: expect.stringMatching(time) };
  const data = { _id: id, client, ...documentedWebhook, ...change, headers: {}, ...times };
  expect(body).toEqual({ success: true, data });
  expect((await call("GET", path)).body).toEqual({ success: true, data });
});

it("a deleted webhook is not found any more", async () => {
  const { call, path } = await withWebhook();
  const deleted = await call("DELETE", path);
  const { status, body } = deleted;
  expect({ status, body }).toEqual({ status: 200, body: { success: true, message: "Webhook deleted successfully" } });
  for (const method of ["GET", "DELETE", "PUT"]) {
    const again = await call(method, path, method === "PUT" ? { body: {} } : {});
    expect(again.status).toBe(404);
    expect(again.body).toEqual({ error: "Webhook not found", message: "WEBHOOK_NOT_FOUND" });
  }
});

it("statistics count requests once there are any", async () => {
  const { call, id, path } = await withWebhook();
  const lastSuccessAt = Date.UTC(2024, 0, 15, 10, 30, 0);
  await writeHealth(api.database.sql, [
    {
      webhookId: id,
      lastSuccessAt,
      lastFailureAt: lastSuccessAt - 60_000,
      failuresBefore: 5,
      failures: 0,
      failingSince: null,
      lastError: "HTTP 500",
      attempts: 150,
      failedAttempts: 5,
      exhausted: 0,
    },
  ]);
  const statistics = {
    totalRequests: 150,
    successfulRequests: 145,
    failedRequests: 5,
    lastTriggered: "2024-01-15T10:30:00Z",
  };
  expect((await call("GET", path)).body.data.statistics).toEqual(statistics);
  expect((await call("GET", "/v2/webhooks")).body.data[0].statistics).toEqual(statistics);
});

it("the public id leads to the webhook as its UUID does", async () => {
  const { call, id } = await withWebhook();
  const { key } = await api.addOrganization();
  const { webhooks } = await api.operator.webhooks.listWebhooks({ pageSize: 200 });
  const publicIds = webhooks.map((webhook) => webhook.id).filter((publicId) => parseId("webhook", publicId) === id);
  expect(publicIds).toHaveLength(1);
  expect((await call("GET", `/v2/webhooks/${publicIds[0]}`)).body.data._id).toBe(id);
  expect((await verifik.call("GET", `/v2/webhooks/${publicIds[0]}`, { key })).status).toBe(404);
});
