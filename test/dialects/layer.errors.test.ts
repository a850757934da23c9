import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VerificationMethod, WebhookFormat } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { describeLayerFailure, type LayerErrorId, layerErrors } from "../../src/dialects/layer/layer-errors.ts";
import { parseId, publicId } from "../../src/domain/ids.ts";
import { TellwireError } from "../../src/errors.ts";
import { operatorKey, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { type DialectReply, type ServedDialect, serveDialect } from "./serve-dialect.ts";

const request = {
  version: "2.0",
  target_url: "https://mydomain.com/my-webhook-endpoint",
  events: ["conversation.created"],
  secret: "1697f925ec7b1697f925ec7b",
};
const unknown = "f5ef2b54-0991-11e5-a6c0-1697f925ec7b";

let api: TestApi;
let layer: ServedDialect;
let app: string;
let key: string;
let path: string;
let clients: Awaited<ReturnType<TestApi["addOrganization"]>>["clients"];
beforeAll(async () => {
  api = await startApi();
  const organization = await api.addOrganization();
  ({ key, clients } = organization);
  app = parseId("organization", organization.id)!;
  path = `/apps/${app}/webhooks`;
  layer = await serveDialect(api, createLayerDialect(api.useCases, { publicUrl: undefined, scheme: "http" }));
});
afterAll(async () => {
  await layer.close();
  await api.close();
});

/** The documented envelope, whole. */
function expectError({ status, body, headers }: DialectReply, id: LayerErrorId, data?: Record<string, string>): void {
  expect(body).toEqual({
    code: layerErrors[id].code,
    id,
    message: expect.stringMatching(/^[A-Z].*\.$/),
    url: "https://developer.layer.com/docs/webhooks",
    ...(data === undefined ? {} : { data }),
  });
  expect(status).toBe(layerErrors[id].status);
  expect(headers.get("content-type")).toBe("application/json");
}

it("every documented error has its number and its status", () => {
  const rows = Object.entries(layerErrors).map(([id, { code, status }]) => `${code} ${id} ${status}`);
  expect(rows).toEqual([
    "2 invalid_app_id 403",
    "4 authentication_required 401",
    "7 rate_limit_exceeded 429",
    "10 invalid_request 400",
    "100 internal_server_error 500",
    "101 access_denied 403",
    "102 not_found 404",
    "104 missing_property 422",
    "105 invalid_property 422",
    "106 invalid_endpoint 404",
    "107 invalid_header 406",
    "109 method_not_allowed 405",
  ]);
});

describe("properties", () => {
  it("the documented answer to a creation without target_url is given word for word", async () => {
    const { target_url: _, ...body } = request;
    const reply = await layer.call("POST", path, { key, body });
    expect(reply.status).toBe(422);
    expect(reply.body).toEqual({
      code: 104,
      id: "missing_property",
      message: "The target_url property cannot be omitted.",
      url: "https://developer.layer.com/docs/webhooks",
      data: { property: "target_url" },
    });
  });

  it.each([
    ["target_url", { ...request, target_url: undefined }],
    ["events", { ...request, events: undefined }],
    ["events", { ...request, events: undefined, event_types: ["message.sent"] }],
    ["events", { target_url: request.target_url, secret: "s" }],
    ["secret", { ...request, secret: undefined }],
    ["target_url", {}],
    ["target_url", { event_types: ["user.registered"], secret: "s" }],
    ["secret", { event_types: ["user.registered"], target_url: request.target_url }],
  ])("a creation cannot omit %s", async (property, body) => {
    expectError(await layer.call("POST", path, { key, body }), "missing_property", { property });
  });

  it.each([
    ["version", { version: "4.0" }],
    ["version", { version: 2 }],
    ["target_url", { target_url: "not a URL" }],
    ["target_url", { target_url: "" }],
    ["target_url", { target_url: 7 }],
    ["target_url", { target_url: null }],
    ["target_url", { target_url: "ftp://mydomain.com/hook" }],
    ["target_url", { target_url: "https://10.0.0.1/hook" }],
    ["target_url", { target_url: `https://mydomain.com/${"a".repeat(2048)}` }],
    ["events", { events: [] }],
    ["events", { events: "message.sent" }],
    ["events", { events: ["message.sent", 7] }],
    ["events", { events: ["message sent"] }],
    ["secret", { secret: "" }],
    ["secret", { secret: "s".repeat(257) }],
    ["secret", { secret: "a\0b" }],
    ["secret", { secret: 12 }],
    ["config", { config: "text" }],
    ["config", { config: ["a"] }],
    ["config", { config: { text: "\0" } }],
    ["config", { config: { "\0": "text" } }],
    ["config", { config: { deep: JSON.parse(`${"[".repeat(100)}${"]".repeat(100)}`) } }],
    ["config", { config: { large: "x".repeat(17_000) } }],
  ])("a creation and a change are refused for a bad %s: %j", async (property, values) => {
    expectError(await layer.call("POST", path, { key, body: { ...request, ...values } }), "invalid_property", {
      property,
    });
    const { body: registered } = await layer.call("POST", path, { key, body: request });
    const own = new URL(registered.url).pathname;
    expectError(await layer.call("PATCH", own, { key, body: values }), "invalid_property", { property });
    expect((await layer.call("GET", own, { key })).body).toEqual(registered);
  });

  it("half of a surrogate pair is no text, although JSON can write it", async () => {
    const body = JSON.stringify({ ...request, secret: "?" }).replace("?", "\\ud800");
    expectError(await layer.call("POST", path, { key, body }), "invalid_property", { property: "secret" });
  });

  it("the pre-release generation's properties have their own names in errors", async () => {
    const body = { target_url: request.target_url, secret: "s", event_types: ["user.registered"] };
    const target_config = { large: "x".repeat(17_000) };
    expectError(await layer.call("POST", path, { key, body: { ...body, target_config } }), "invalid_property", {
      property: "target_config",
    });
    expectError(await layer.call("POST", path, { key, body: { ...body, event_types: [] } }), "invalid_property", {
      property: "event_types",
    });
  });

  it("where the operator does not allow plain http, a target_url must be HTTPS", async () => {
    const strict = await startApi({ targetPolicy: { ...api.dependencies.targetPolicy, allowHttp: false } });
    const served = await serveDialect(
      strict,
      createLayerDialect(strict.useCases, { publicUrl: undefined, scheme: "http" }),
    );
    const { id, key: strictKey } = await strict.addOrganization();
    const reply = await served.call("POST", `/apps/${parseId("organization", id)}/webhooks`, {
      key: strictKey,
      body: { ...request, target_url: "http://mydomain.com/hook" },
    });
    expectError(reply, "invalid_property", { property: "target_url" });
    expect(reply.body.message).toContain("https://");
    await served.close();
    await strict.close();
  });
});

describe("requests", () => {
  it.each(["{", "[]", '"text"', "null", "", '{"a":1,}'])("the body %j is no request", async (body) => {
    expectError(await layer.call("POST", path, { key, body }), "invalid_request");
  });

  it("a creation without any body is no request", async () => {
    expectError(await layer.call("POST", path, { key }), "invalid_request");
  });

  it("a body beyond the limit is no request", async () => {
    const body = { ...request, config: { large: "x".repeat(70_000) } };
    expectError(await layer.call("POST", path, { key, body }), "invalid_request");
  });

  it.each(["application/x-www-form-urlencoded", "text/plain", "application/vnd.layer.webhooks+xml"])(
    "a body of the type %s is refused",
    async (contentType) => {
      const headers = { "content-type": contentType };
      expectError(await layer.call("POST", path, { key, body: "{}", headers }), "invalid_header", {
        header: "Content-Type",
      });
    },
  );

  it.each(["", "/x", "/x/webhooks/y/z", "/x/webhooks/y/verify", "/x/webhook"])(
    "there is no endpoint /apps%s",
    async (rest) => {
      expectError(await layer.call("GET", `/apps${rest}`, { key }), "invalid_endpoint");
    },
  );

  it.each([
    ["PUT", "", "POST, GET"],
    ["DELETE", "", "POST, GET"],
    ["POST", `/${unknown}`, "GET, PATCH, DELETE"],
    ["GET", `/${unknown}/activate`, "POST"],
    ["OPTIONS", "", "POST, GET"],
  ])("%s is not for /apps/{app}/webhooks%s", async (method, rest, allowed) => {
    const reply = await layer.call(method, `${path}${rest}`, { key });
    expectError(reply, "method_not_allowed");
    expect(reply.headers.get("allow")).toBe(allowed);
  });
});

describe("callers", () => {
  it("a request without a key, or with one that opens nothing, is not authenticated", async () => {
    const without = [{}, { "x-api-key": key }, { authorization: `Basic ${key}` }, { authorization: "Bearer" }];
    for (const headers of [...without, { authorization: "Bearer wrong" }]) {
      const reply = await layer.call("GET", path, { headers });
      expectError(reply, "authentication_required");
      expect(reply.headers.get("www-authenticate")).toBe("Bearer");
    }
  });

  it("an app of another organization, an unknown one and a malformed one are all the same: not an app of the caller's", async () => {
    const other = parseId("organization", (await api.addOrganization()).id)!;
    const own = (await layer.call("POST", path, { key, body: request })).body.id.split("/").at(-1);
    for (const wrong of [other, unknown, "my-app", "%00", "org_1"]) {
      for (const rest of ["", `/${own}`, `/${own}/activate`]) {
        const method = rest.endsWith("activate") ? "POST" : "GET";
        expectError(await layer.call(method, `/apps/${wrong}/webhooks${rest}`, { key }), "invalid_app_id");
      }
    }
    expectError(await layer.call("POST", `/apps/${other}/webhooks`, { key, body: request }), "invalid_app_id");
  });

  it("an operator's key may use every app that there is", async () => {
    expect((await layer.call("POST", path, { key: operatorKey, body: request })).status).toBe(201);
    expect((await layer.call("GET", path, { key: operatorKey })).status).toBe(200);
    expectError(await layer.call("GET", `/apps/${unknown}/webhooks`, { key: operatorKey }), "invalid_app_id");
  });

  it("a webhook that does not exist, is another app's or no Layer webhook, is not found by any method", async () => {
    const other = await api.addOrganization();
    const otherPath = `/apps/${parseId("organization", other.id)}/webhooks`;
    const { body: foreign } = await layer.call("POST", otherPath, { key: other.key, body: request });
    const { webhook: native } = await clients.webhooks.createWebhook({ webhook: webhookFor("https://a.example/") });
    const ids = [unknown, "nothing", "%00", foreign.id.split("/").at(-1), native!.id, parseId("webhook", native!.id)];
    for (const id of ids) {
      for (const [method, rest] of [["GET"], ["PATCH"], ["DELETE"], ["POST", "/activate"], ["POST", "/deactivate"]]) {
        const body = method === "PATCH" ? { body: {} } : {};
        expectError(await layer.call(method!, `${path}/${id}${rest ?? ""}`, { key, ...body }), "not_found");
      }
    }
    expect((await layer.call("GET", otherPath, { key: other.key })).body).toEqual([foreign]);
  });

  it("what is not there is told in the words of Layer, without ids of the native API", async () => {
    const { body: noApp } = await layer.call("GET", `/apps/${unknown}/webhooks`, { key });
    expect(noApp.message).toBe("The token has no app with this id.");
    const { body: noWebhook } = await layer.call("GET", `${path}/${unknown}`, { key });
    expect(noWebhook.message).toBe("The app has no webhook with this id.");
  });

  it("what only an operator may do is denied", async () => {
    const { webhook } = await api.operator.webhooks.createWebhook({
      webhook: webhookFor("https://a.example/", {
        organizationId: publicId("organization", app),
        format: WebhookFormat.LAYER_2_0,
        verification: { method: VerificationMethod.VOUCHED },
      }),
    });
    const own = `${path}/${webhook!.id}`;
    expect((await layer.call("GET", own, { key })).body.status).toBe("active");
    const body = { target_url: "https://b.example/" };
    expectError(await layer.call("PATCH", own, { key, body }), "access_denied");
  });
});

describe("the Accept header", () => {
  it.each(["text/html", "application/vnd.layer.webhooks+json", "application/vnd.layer.webhooks+json; version=4.0"])(
    "%s is not acceptable, to any method",
    async (accept) => {
      for (const [method, body] of [["POST", request], ["GET"]] as const) {
        const reply = await layer.call(method, path, { key, headers: { accept }, ...(body ? { body } : {}) });
        expectError(reply, "invalid_header", { header: "Accept" });
      }
    },
  );
});

describe("our failures", () => {
  it("a failure of ours says nothing but the request's id, which whoever runs the service is told too", async () => {
    const broken = { ...api.useCases, organizations: { ...api.useCases.organizations, require: () => fail() } };
    const fail = () => Promise.reject(new Error("the secret of the house"));
    const served = await serveDialect(api, createLayerDialect(broken, { publicUrl: undefined, scheme: "http" }));
    const reply = await served.call("GET", path, { key });
    expectError(reply, "internal_server_error", { request_id: served.failures[0]!.requestId });
    expect(JSON.stringify(reply.body)).not.toContain("house");
    expect(served.failures[0]).toMatchObject({ method: `layer GET ${path}` });
    await served.close();
  });

  it("a caller who asks too often hears when to come back", () => {
    const context = { requestId: "req_1", method: "GET", path };
    const error = new TellwireError("BODY_TOO_LARGE", "too large");
    expect(describeLayerFailure({ kind: "refused", error }, context).status).toBe(400);
    const limited = Object.assign(new TellwireError("BROKER_UNAVAILABLE", "slow down", { retryAfterMs: 1_200 }), {
      code: "RESOURCE_EXHAUSTED",
    });
    const answer = describeLayerFailure({ kind: "refused", error: limited }, context);
    expect(answer).toMatchObject({
      status: 429,
      headers: { "retry-after": "2" },
      body: { code: 7, id: "rate_limit_exceeded", message: "Slow down." },
    });
  });
});
