import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebhookFormat } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { describeLayersFailure } from "../../src/dialects/layers/layers-failures.ts";
import { TellwireError } from "../../src/errors.ts";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";
import { operatorKey, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { type DialectReply, type ServedDialect, serveDialect } from "./serve-dialect.ts";

const path = "/v1/webhook-endpoints";
const valid = { url: "https://your-app.example.com/hooks", events: ["job.completed"] };

let api: TestApi;
let layers: ServedDialect;
let key: string;
let endpointId: string;

beforeAll(async () => {
  const guard = createAddressGuard({ allow: [], deny: [] });
  api = await startApi({ targetPolicy: { guard, allowHttp: false, allowPorts: [] } });
  layers = await serveDialect(api, createLayersDialect(api.useCases), { maxBodyBytes: 20_000 });
  ({ key } = await api.addOrganization());
  endpointId = (await call("POST", path, valid)).body.endpoint.id;
});
afterAll(async () => {
  await layers?.close();
  await api?.close();
});

function call(method: string, target: string, body?: unknown, headers: Record<string, string> = {}) {
  return layers.call(method, target, {
    headers: { "x-api-key": key, ...headers },
    ...(body === undefined ? {} : { body }),
  });
}

/** The envelope that every error has, and nothing else. */
function expectError({ status, body }: DialectReply, expected: { status: number; code: string; details?: unknown }) {
  const { details = expect.any(Object), ...rest } = expected;
  expect({ status, body }).toEqual({
    status: rest.status,
    body: {
      error: {
        code: rest.code,
        message: expect.stringMatching(/./),
        requestId: expect.stringMatching(/^req_/),
        details,
      },
    },
  });
}

const text = expect.any(String);

it.each<[what: string, body: unknown, details: Record<string, unknown>]>([
  ["no body", undefined, { body: text }],
  ["a body that is no object", [], { body: text }],
  ["neither URL nor events", {}, { url: "is required", events: "is required" }],
  ["a URL that is none", { ...valid, url: "your-app" }, { url: text }],
  ["a URL of another type", { ...valid, url: 7 }, { url: "must be a string" }],
  ["an http URL", { ...valid, url: "http://your-app.example.com/" }, { url: "must begin with https://" }],
  ["http://localhost, which is for development", { ...valid, url: "http://localhost:3000/" }, { url: text }],
  ["no events", { ...valid, events: [] }, { events: text }],
  ["51 events", { ...valid, events: Array(51).fill("job.failed") }, { events: "must have at most 50 event types" }],
  [
    "an unknown event",
    { ...valid, events: ["job.failed", "job.exploded"] },
    { "events[1]": 'must be an event type of the catalog: "job.exploded" is none' },
  ],
  ["a wildcard", { ...valid, events: ["*"] }, { "events[0]": text }],
  ["a description that is no text", { ...valid, description: {} }, { description: text }],
  ["a project that is no UUID", { ...valid, projectId: "main" }, { projectId: "must be a UUID" }],
  ["text that cannot be stored", { ...valid, description: "\u0000" }, { description: text }],
])("a creation with %s is 422 VALIDATION, and names what is wrong", async (_what, body, details) => {
  expectError(await call("POST", path, body), { status: 422, code: "VALIDATION", details });
});

it("50 events are not too many", async () => {
  const reply = await call("POST", path, { ...valid, events: Array(50).fill("job.failed") });
  expect(reply.status).toBe(201);
});

it.each<[what: string, body: unknown, details: Record<string, unknown>]>([
  ["nothing to change", {}, { body: text }],
  ["unknown fields alone", { color: "red" }, { body: text }],
  ["a status that cannot be set", { status: "auto_paused" }, { status: "must be active or paused" }],
  ["an http URL", { url: "http://your-app.example.com/" }, { url: "must begin with https://" }],
  ["an event that is unknown", { events: ["x"] }, { "events[0]": text }],
  ["null for what cannot be cleared", { url: null }, { url: text }],
])("a change with %s is 422 VALIDATION", async (_what, body, details) => {
  expectError(await call("PATCH", `${path}/${endpointId}`, body), { status: 422, code: "VALIDATION", details });
});

it.each([
  ["?limit=0", "limit"],
  ["?limit=101", "limit"],
  ["?limit=ten", "limit"],
  ["?cursor=nonsense", "cursor"],
  ["?status=broken", "status"],
  ["?projectId=main", "projectId"],
])("a list with %s is 422 VALIDATION", async (query, field) => {
  const details = { [field]: text };
  expectError(await call("GET", `${path}${query}`), { status: 422, code: "VALIDATION", details });
});

it.each([
  ["?limit=0", "limit"],
  ["?status=broken", "status"],
  ["?eventType=%00", "eventType"],
])("a delivery log with %s is 422 VALIDATION", async (query, field) => {
  const reply = await call("GET", `${path}/${endpointId}/deliveries${query}`);
  expectError(reply, { status: 422, code: "VALIDATION", details: { [field]: text } });
});

it("a test whose payload is no object is 422 VALIDATION", async () => {
  const reply = await call("POST", `${path}/${endpointId}/test`, { payload: "x" });
  expectError(reply, { status: 422, code: "VALIDATION", details: { payload: text } });
});

it("no key, an unknown key and a revoked key are 401 UNAUTHENTICATED", async () => {
  const organization = await api.addOrganization();
  const { apiKeys } = await organization.clients.organizations.listApiKeys({ organizationId: organization.id });
  await api.operator.organizations.revokeApiKey({ organizationId: organization.id, id: apiKeys[0]!.id });
  for (const headers of [{}, { "x-api-key": "nonsense" }, { "x-api-key": organization.key }]) {
    expectError(await layers.call("GET", path, { headers }), { status: 401, code: "UNAUTHENTICATED" });
  }
});

it("an operator's key, which belongs to no organization, is 403 FORBIDDEN_SCOPE", async () => {
  const headers = { "x-api-key": operatorKey };
  expectError(await layers.call("GET", path, { headers }), { status: 403, code: "FORBIDDEN_SCOPE" });
});

it.each([
  ["GET", `${path}/${randomUUID()}`],
  ["GET", `${path}/not-an-id`],
  ["PATCH", `${path}/${randomUUID()}`],
  ["POST", `${path}/${randomUUID()}/test`],
  ["GET", `${path}/${randomUUID()}/deliveries`],
  ["POST", `/v1/webhook-deliveries/${randomUUID()}/replay`],
  ["POST", "/v1/webhook-deliveries/not-an-id/replay"],
  ["GET", `${path}/${randomUUID()}/nothing/here`],
  ["GET", "/v1/webhook-deliveries"],
])("%s %s is 404 NOT_FOUND", async (method, target) => {
  const body = method === "PATCH" ? { status: "paused" } : undefined;
  expectError(await call(method, target, body), { status: 404, code: "NOT_FOUND" });
});

it("a delivery of another organization, or of a webhook of another kind, is 404 NOT_FOUND", async () => {
  const { deliveryId } = (await call("POST", `${path}/${endpointId}/test`)).body;
  const other = await api.addOrganization();
  const replay = `/v1/webhook-deliveries/${deliveryId}/replay`;
  expectError(await call("POST", replay, undefined, { "x-api-key": other.key }), { status: 404, code: "NOT_FOUND" });
  await api.database.em().execute("update webhook set format = 'STANDARD' where id = ?", [endpointId]);
  expectError(await call("POST", replay), { status: 404, code: "NOT_FOUND" });
  await api.database.em().execute("update webhook set format = 'LAYERS' where id = ?", [endpointId]);
  expect((await call("POST", replay)).status).toBe(200);
});

it("one key with another body is 409 IDEMPOTENCY_CONFLICT", async () => {
  const headers = { "idempotency-key": randomUUID() };
  expect((await call("POST", path, valid, headers)).status).toBe(201);
  const reply = await call("POST", path, { ...valid, description: "another" }, headers);
  expectError(reply, { status: 409, code: "IDEMPOTENCY_CONFLICT" });
});

it("an Idempotency-Key that is none is 422 VALIDATION", async () => {
  const reply = await call("POST", path, valid, { "idempotency-key": "x".repeat(256) });
  expectError(reply, { status: 422, code: "VALIDATION", details: { "idempotency-key": text } });
});

it("what an endpoint's status does not allow is 422 VALIDATION, and says what to do first", async () => {
  const { endpoint } = (await call("POST", path, valid)).body;
  await api.database.em().execute("update webhook set status = 'DISABLED' where id = ?", [endpoint.id]);
  const details = { status: "is auto_paused: set its status to active first" };
  expectError(await call("POST", `${path}/${endpoint.id}/test`), { status: 422, code: "VALIDATION", details });
  const { webhook } = await api.clients({ "x-api-key": key }).webhooks.createWebhook({
    webhook: webhookFor("https://x.example.com/", { format: WebhookFormat.LAYERS, eventTypes: ["job.failed"] }),
  });
  const reply = await call("PATCH", `${path}/${webhook!.id}`, { status: "active" });
  expectError(reply, { status: 422, code: "VALIDATION", details: { status: text } });
});

it("malformed JSON is 422 VALIDATION", async () => {
  expectError(await call("POST", path, "{"), { status: 422, code: "VALIDATION", details: { body: text } });
});

it("another method is 405 with Allow, a large body 413, a body that is no JSON 415", async () => {
  const put = await call("PUT", `${path}/${endpointId}`);
  expectError(put, { status: 405, code: "METHOD_NOT_ALLOWED" });
  expect(put.headers.get("allow")).toBe("GET, PATCH, DELETE");
  const large = await call("POST", path, { ...valid, description: "x".repeat(20_000) });
  expectError(large, { status: 413, code: "PAYLOAD_TOO_LARGE" });
  const xml = await call("POST", path, "<x/>", { "content-type": "application/xml" });
  expectError(xml, { status: 415, code: "UNSUPPORTED_MEDIA_TYPE" });
});

it("a rate limit is 429 RATE_LIMITED with Retry-After in whole seconds", () => {
  const error = Object.assign(new TellwireError("BODY_TOO_LARGE", "slow down", { retryAfterMs: 1_200 }), {
    reason: "RATE_LIMITED",
  });
  const context = { requestId: "req_1", method: "POST", path };
  const answer = describeLayersFailure({ kind: "refused", error }, context);
  expect(answer).toEqual({
    status: 429,
    headers: { "retry-after": "2" },
    body: { error: { code: "RATE_LIMITED", message: "slow down", requestId: "req_1", details: {} } },
  });
});

it("what fails because of us is 500 INTERNAL, says nothing of why, and is told to whoever runs the server", async () => {
  await api.database.em().execute("alter table webhook_secret rename to webhook_secret_gone");
  const reply = await call("POST", path, valid);
  await api.database.em().execute("alter table webhook_secret_gone rename to webhook_secret");
  expectError(reply, { status: 500, code: "INTERNAL", details: {} });
  expect(JSON.stringify(reply.body)).not.toContain("webhook_secret");
  expect(layers.failures.map(({ requestId }) => requestId)).toEqual([reply.body.error.requestId]);
});
