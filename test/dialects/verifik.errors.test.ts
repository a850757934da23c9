import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { describeVerifikFailure } from "../../src/dialects/verifik/verifik-failures.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { TellwireError } from "../../src/errors.ts";
import { createAddressGuard } from "../../src/outbound/address-guard.ts";
import type { UseCases } from "../../src/usecases/use-cases.ts";
import { operatorKey, startApi, type TestApi } from "../api/start-api.ts";
import { type DialectCall, type ServedDialect, serveDialect } from "./serve-dialect.ts";

let api: TestApi;
let verifik: ServedDialect;
let call: DialectCall;
let path: string;
const valid = { url: "https://example.com/hook", name: "first", isActive: true };

beforeAll(async () => {
  api = await startApi({
    targetPolicy: {
      guard: createAddressGuard({ allow: [], deny: [] }),
      allowHttp: false,
      allowPorts: [],
    },
  });
  verifik = await serveDialect(api, createVerifikDialect(api.useCases, { defaultPolicy: DEFAULT_RETRY_POLICY }));
  const { key } = await api.addOrganization();
  call = (method, to, options) => verifik.call(method, to, { key, ...options });
  const { body } = await call("POST", "/v2/webhooks", { body: valid });
  path = `/v2/webhooks/${body.data._id}`;
});
afterAll(async () => {
  await verifik.close();
  await api.close();
});

describe("the documented errors", () => {
  it.each([
    ["plain http", { url: "http://example.com/hook" }],
    ["no URL at all", { url: "example" }],
    ["an empty text", { url: "" }],
    ["a number", { url: 7 }],
    ["nothing", { url: undefined }],
    ["beside other bad fields", { url: null, name: "" }],
  ])("a webhook URL that is %s is an invalid webhook URL", async (_what, values) => {
    const { status, body } = await call("POST", "/v2/webhooks", { body: { ...valid, name: "second", ...values } });
    expect({ status, body }).toEqual({
      status: 400,
      body: { error: "Invalid webhook URL", message: "INVALID_WEBHOOK_URL" },
    });
  });

  it("an update to a URL that is not HTTPS is refused, and changes nothing else", async () => {
    const { status, body } = await call("PUT", path, { body: { description: "new", url: "http://example.com" } });
    expect({ status, body }).toEqual({
      status: 400,
      body: { error: "Invalid webhook URL", message: "INVALID_WEBHOOK_URL" },
    });
    expect((await call("GET", path)).body.data).toMatchObject({ description: "", url: valid.url });
  });

  it("a name that is taken is refused on creation and on update, and changes nothing else", async () => {
    const taken = { status: 409, body: { error: "Webhook name already exists", message: "WEBHOOK_NAME_EXISTS" } };
    expect(await call("POST", "/v2/webhooks", { body: valid })).toMatchObject(taken);
    const { body } = await call("POST", "/v2/webhooks", { body: { ...valid, name: "another", secret: "kept" } });
    const change = { name: "first", secret: "lost", isActive: false };
    expect(await call("PUT", `/v2/webhooks/${body.data._id}`, { body: change })).toMatchObject(taken);
    const after = await call("GET", `/v2/webhooks/${body.data._id}`);
    expect(after.body.data).toMatchObject({ name: "another", secret: "kept", isActive: true });
  });

  it.each(["GET", "PUT", "DELETE"])("%s of what is no webhook of the client is not found", async (method) => {
    const stranger = await api.addOrganization();
    const body = method === "PUT" ? { name: "x" } : undefined;
    const notFound = { status: 404, body: { error: "Webhook not found", message: "WEBHOOK_NOT_FOUND" } };
    for (const id of ["webhook_123456789", "0198c0de-0000-7000-8000-000000000000"]) {
      expect(await call(method, `/v2/webhooks/${id}`, { body })).toMatchObject(notFound);
    }
    expect(await verifik.call(method, path, { key: stranger.key, body })).toMatchObject(notFound);
    expect((await call("GET", path)).body.data.name).toBe("first");
  });

  it.each([undefined, "", "no-key-of-anybody"])("a caller with the token %j is unauthorized", async (token) => {
    for (const [method, to] of [["POST", "/v2/webhooks"] as const, ["GET", path] as const]) {
      const reply = await verifik.call(method, to, token === undefined ? {} : { key: token });
      expect(reply).toMatchObject({ status: 401, body: { error: "Unauthorized", message: "UNAUTHORIZED" } });
      expect(reply.headers.get("www-authenticate")).toBe("Bearer");
    }
  });

  it.each([
    "page=0",
    "page=-1",
    "page=1.5",
    "page=x",
    "page=99999999999999999999",
    "limit=0",
    "limit=101",
    "limit=ten",
    "isActive=yes",
    "projectFlow=%00",
  ])("a list with ?%s has invalid query parameters", async (query) => {
    const { status, body } = await call("GET", `/v2/webhooks?${query}`);
    expect({ status, body }).toEqual({
      status: 400,
      body: { success: false, error: "Invalid query parameters", code: "INVALID_PARAMETERS" },
    });
  });
});

describe("every other failure", () => {
  it.each([
    ["name", { name: undefined }, "name is required"],
    ["name", { name: "" }, "name must not be empty"],
    ["name", { name: "n".repeat(129) }, "name must be at most 128 characters"],
    ["name", { name: "a\u0000b" }, "name must not contain the character U+0000"],
    ["isActive", { isActive: undefined }, "isActive is required"],
    ["isActive", { isActive: "true" }, "isActive must be true or false"],
    ["description", { description: null }, "description must be a string"],
    ["link", { link: "flow" }, "link must be an array of strings"],
    ["link", { link: ["flow", 7] }, "link[1] must be a string"],
    ["events", { events: ["a b"] }, "events[0] must be an event name"],
    ["secret", { secret: "" }, "secret must not be empty"],
  ])("a bad %s is refused with a sentence that names it", async (_field, values, sentence) => {
    const { status, body } = await call("POST", "/v2/webhooks", { body: { ...valid, name: "other", ...values } });
    expect(status).toBe(400);
    expect(Object.keys(body)).toEqual(["error", "message"]);
    expect(body.message).toBe("INVALID_PARAMETERS");
    expect(body.error).toContain(sentence);
  });

  it.each([
    ["malformed JSON", "POST", "/v2/webhooks", { body: '{"url":' }, 400, "INVALID_PARAMETERS"],
    ["a body that is no object", "POST", "/v2/webhooks", { body: "[]" }, 400, "INVALID_PARAMETERS"],
    ["no body", "POST", "/v2/webhooks", {}, 400, "INVALID_PARAMETERS"],
    ["a body that is too large", "POST", "/v2/webhooks", { body: { a: "x".repeat(70_000) } }, 413, "PAYLOAD_TOO_LARGE"],
    [
      "another content type",
      "POST",
      "/v2/webhooks",
      { body: "url=x", headers: { "content-type": "application/x-www-form-urlencoded" } },
      415,
      "UNSUPPORTED_MEDIA_TYPE",
    ],
    ["a path that is not there", "GET", "/v2/webhooks/a/b", {}, 404, "NOT_FOUND"],
  ])("%s", async (_what, method, to, options, status, message) => {
    const reply = await call(method, to, options);
    expect(reply.status).toBe(status);
    expect(reply.body).toEqual({ error: expect.any(String), message });
  });

  it.each([
    ["PATCH", "/v2/webhooks", "POST, GET"],
    ["PATCH", "/v2/webhooks/x", "GET, PUT, DELETE"],
  ])("%s %s is not allowed, and the answer says what is", async (method, to, allow) => {
    const reply = await call(method, to, { body: {} });
    expect(reply).toMatchObject({ status: 405, body: { message: "METHOD_NOT_ALLOWED" } });
    expect(reply.headers.get("allow")).toBe(allow);
  });

  it("an operator's token creates nothing, for it belongs to no client", async () => {
    const reply = await verifik.call("POST", "/v2/webhooks", { key: operatorKey, body: { ...valid, name: "other" } });
    expect(reply).toMatchObject({ status: 400, body: { message: "INVALID_PARAMETERS" } });
    expect(reply.body.error).toContain("client");
  });

  it("a failure of ours says nothing of what happened inside, and is reported", async () => {
    const webhooks = { ...api.useCases.webhooks, listByOffset: () => Promise.reject(new Error("inside")) };
    const useCases: UseCases = { ...api.useCases, webhooks };
    const broken = await serveDialect(api, createVerifikDialect(useCases, { defaultPolicy: DEFAULT_RETRY_POLICY }));
    const { key } = await api.addOrganization();
    const { status, body } = await broken.call("GET", "/v2/webhooks", { key });
    await broken.close();
    expect({ status, body }).toEqual({
      status: 500,
      body: { error: "Internal server error", message: "INTERNAL_SERVER_ERROR" },
    });
    expect(broken.failures).toMatchObject([{ method: "verifik GET /v2/webhooks", error: { message: "inside" } }]);
  });

  it("a limit on the rate of calls and a store that is away say when to come back", () => {
    const unavailable = new TellwireError("DATABASE_UNAVAILABLE", "try again soon", { retryAfterMs: 1_500 });
    expect(describeVerifikFailure({ kind: "refused", error: unavailable }, { isList: false })).toEqual({
      status: 503,
      headers: { "retry-after": "2" },
      body: { error: "try again soon", message: "SERVICE_UNAVAILABLE" },
    });
    const limited = new TellwireError("BODY_TOO_LARGE", "too much", { retryAfterMs: 1_000 });
    expect(describeVerifikFailure({ kind: "refused", error: limited }, { isList: true })).toMatchObject({
      status: 429,
      headers: { "retry-after": "1" },
    });
  });

  it("each failure has a status of its own kind", () => {
    const statusOf = (failure: Parameters<typeof describeVerifikFailure>[0]) =>
      describeVerifikFailure(failure, { isList: false }).status;
    expect(statusOf({ kind: "not acceptable", accept: "text/html" })).toBe(406);
    expect(statusOf({ kind: "refused", error: new TellwireError("OPERATOR_REQUIRED", "no") })).toBe(403);
    expect(statusOf({ kind: "refused", error: new TellwireError("ETAG_MISMATCH", "no") })).toBe(409);
  });
});
