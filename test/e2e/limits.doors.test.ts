import { once } from "node:events";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { EventService } from "../../gen/tellwire/v1/event_service_pb.ts";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { openRawConnection } from "../api/servers/raw-connection.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let database: TestDatabase;
let tellwire: TellwireProcess;
let operator: RestClient;
beforeAll(async () => {
  database = await createTestDatabase();
  tellwire = await startTellwire(
    tellwireSettings({
      TELLWIRE_DATABASE_URL: database.url,
      TELLWIRE_RATE_LIMIT_PER_KEY: "3/h",
      TELLWIRE_RATE_LIMIT_PER_ORGANIZATION: "off",
      TELLWIRE_RATE_LIMIT_RECEIVER_CALLS: "1/h",
      TELLWIRE_RATE_LIMIT_FAILED_LOGINS: "4/h",
      TELLWIRE_CORS_ORIGINS: "https://app.example.com",
    }),
  );
  operator = createRestClient(tellwire.httpUrl, tellwire.operatorKey);
});
afterAll(async () => {
  await tellwire?.stop();
  await database?.drop();
});

async function newKey(): Promise<string> {
  const { id } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Doors" });
  return (await operator<{ key: string }>("POST", `/v1/organizations/${id}/api-keys`, { name: "test" })).key;
}

async function get(path: string, headers: Record<string, string>): Promise<Response> {
  return await fetch(`${tellwire.httpUrl}${path}`, { headers });
}

const policy = '"key";q=3;w=3600';

test("REST tells on every answer how the caller stands, and refuses with 429, Retry-After and the reason", async () => {
  const authorization = `Bearer ${await newKey()}`;
  const first = await get("/v1/webhooks", { authorization });
  expect(first.status).toBe(200);
  expect(first.headers.get("ratelimit-policy")).toBe(policy);
  expect(first.headers.get("ratelimit")).toMatch(/^"key";r=2;t=1[12]\d\d$/);
  const missing = await get("/v1/webhooks/wh_01k8djrfaefx88mtvwhpf0y6hb", { authorization });
  expect(missing.status).toBe(404);
  expect(missing.headers.get("ratelimit")).toMatch(/^"key";r=1;t=2\d\d\d$/);
  await get("/v1/webhooks", { authorization });
  const refused = await get("/v1/webhooks", { authorization });
  expect(refused.status).toBe(429);
  expect(refused.headers.get("ratelimit-policy")).toBe(policy);
  const retryAfter = Number(refused.headers.get("retry-after"));
  expect(retryAfter).toBeGreaterThan(1_100);
  expect(retryAfter).toBeLessThanOrEqual(1_200);
  expect(refused.headers.get("ratelimit")).toBe(`"key";r=0;t=${retryAfter}`);
  const { error } = (await refused.json()) as { error: { status: string; details: object[] } };
  expect(error).toMatchObject({ code: 429, status: "RESOURCE_EXHAUSTED" });
  expect(error.details).toEqual([
    {
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: "RATE_LIMITED",
      domain: "tellwire",
      metadata: { limit: "key" },
    },
    { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: expect.stringMatching(/^1\d\d\d(\.\d+)?s$/) },
  ]);
});

describe.each<[string, () => Transport]>([
  ["Connect", () => createConnectTransport({ baseUrl: tellwire.httpUrl, httpVersion: "1.1" })],
  ["gRPC-Web", () => createGrpcWebTransport({ baseUrl: tellwire.httpUrl, httpVersion: "1.1" })],
  ["gRPC", () => createGrpcTransport({ baseUrl: tellwire.grpcUrl })],
])("%s", (_name, open) => {
  test("tells how the caller stands in headers, and refuses with RESOURCE_EXHAUSTED and RetryInfo", async () => {
    const client = createClient(WebhookService, open());
    const headers = { "x-api-key": await newKey() };
    const seen: (string | null)[] = [];
    const onHeader = (answer: Headers) => void seen.push(answer.get("ratelimit-policy"), answer.get("ratelimit"));
    for (let calls = 0; calls < 3; calls += 1) await client.listWebhooks({}, { headers, onHeader });
    expect(seen.slice(0, 2)).toEqual([policy, expect.stringMatching(/^"key";r=2;/)]);
    const error = await client.listWebhooks({}, { headers }).catch((thrown: unknown) => thrown);
    if (!(error instanceof ConnectError)) throw error;
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: "RATE_LIMITED", metadata: { limit: "key" } });
    expect(Number(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds)).toBeGreaterThan(1_100);
    expect(error.metadata.get("ratelimit")).toMatch(/^"key";r=0;/);
  });
});

test("a stream is one call, however many events it has", async () => {
  const client = createClient(EventService, createGrpcTransport({ baseUrl: tellwire.grpcUrl }));
  const headers = { "x-api-key": await newKey() };
  const requests = (async function* () {
    for (let index = 0; index < 20; index += 1) {
      yield { event: { type: "order.paid", dataJson: new TextEncoder().encode("{}") } };
    }
  })();
  let answers = 0;
  for await (const { result } of client.publishEventStream(requests, { headers })) {
    expect(result.case).toBe("eventId");
    answers += 1;
  }
  expect(answers).toBe(20);
  expect(
    (await get("/v1/webhooks", { authorization: `Bearer ${headers["x-api-key"]}` })).headers.get("ratelimit"),
  ).toMatch(/^"key";r=1;/);
});

test("a call that makes a receiver be called has a stricter limit, in the APIs of other systems too", async () => {
  const key = await newKey();
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const create = async (path: string, body: object) =>
    await fetch(`${tellwire.httpUrl}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const created = await create("/v1/webhook-endpoints", { url: "https://example.com/", events: ["job.completed"] });
  expect(created.status).toBe(201);
  expect(created.headers.get("ratelimit-policy")).toBe(`${policy}, "receiver-calls";q=1;w=3600`);
  const refused = await create("/v1/webhooks", { url: "https://example.com/", eventTypes: ["*"] });
  expect(refused.status).toBe(429);
  expect(JSON.stringify(await refused.json())).toContain('"limit":"receiver-calls"');
  expect((await get("/v1/webhooks", headers)).status, "reading goes on").toBe(200);
});

test.each([
  ["/apps/082d4684-0992-11e5-a6c0-1697f925ec7b/webhooks", { code: 7, id: "rate_limit_exceeded" }],
  ["/v2/webhooks", { error: expect.any(String), message: "RATE_LIMITED" }],
  ["/v1/webhook-endpoints", { error: expect.objectContaining({ code: "RATE_LIMITED" }) }],
])("%s answers with 429, Retry-After and the form of its own", async (path, body) => {
  const headers = {
    authorization: `Bearer ${await newKey()}`,
    accept: "application/vnd.layer.webhooks+json; version=3.0",
  };
  for (let calls = 0; calls < 3; calls += 1) {
    const answer = await get(path, headers);
    expect(answer.status).not.toBe(429);
    expect(answer.headers.get("ratelimit-policy")).toBe(policy);
  }
  const refused = await get(path, headers);
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(1_100);
  expect(await refused.json()).toMatchObject(body);
});

test.each([
  ["REST", "/v1/webhooks"],
  ["Connect", "/tellwire.v1.WebhookService/CreateWebhook"],
])(
  "by %s a call whose body cannot be read counts, and one too many is refused before its body comes",
  async (_, path) => {
    const headers = { authorization: `Bearer ${await newKey()}`, "content-type": "application/json" };
    const malformed = async () => await fetch(tellwire.httpUrl + path, { method: "POST", headers, body: "{" });
    const answer = await malformed();
    expect(answer.status).toBe(400);
    expect(answer.headers.get("ratelimit")).toMatch(/^"(key";r=2|receiver-calls";r=0);/);
    const { socket, received } = openRawConnection(tellwire.httpUrl);
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nContent-Type: application/json\r\nAuthorization: ${headers.authorization}\r\n\r\n`,
    );
    await once(socket, "data");
    socket.destroy();
    expect(await received).toMatch(/^HTTP\/1\.1 429 /);
  },
);

test.each([
  [415, "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"],
  [413, "Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"],
])("REST tells it with a %i, which comes of the body, too", async (status, rest) => {
  const key = await newKey();
  const { socket, received } = openRawConnection(tellwire.httpUrl);
  socket.write(`POST /v1/webhooks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${rest}`);
  await once(socket, "data");
  socket.destroy();
  expect(await received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nratelimit: "key";r=2;`, "i"));
});

test("a web page may read what the limits say", async () => {
  const answer = await get("/v1/webhooks", { "x-api-key": await newKey(), origin: "https://app.example.com" });
  expect(answer.headers.get("ratelimit")).not.toBeNull();
  expect(answer.headers.get("access-control-expose-headers"), "every header, these too").toBe("*");
});

test("wrong keys from one address are bounded at all doors together, and said so", async () => {
  const known = { authorization: `Bearer ${await newKey()}` };
  expect((await get("/v1/webhooks", known)).status).toBe(200);
  const wrong = { authorization: "Bearer twk_guess" };
  const fromMs = performance.now();
  const paths = ["/v1/webhooks", "/v2/webhooks", "/v1/webhook-endpoints", "/v1/events"];
  for (const path of paths) expect((await get(path, wrong)).status).toBe(401);
  for (const path of paths) {
    const refused = await get(path, wrong);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  }
  expect((await get("/v1/webhooks", known)).status, "who was there before goes on").toBe(200);
  await waitFor(() => tellwire.output().includes("so many wrong keys"), { what: "the line of the log" });
  const minutes = 1 + Math.floor((performance.now() - fromMs) / 60_000);
  const lines = tellwire.output().match(/so many wrong keys/g) ?? [];
  expect(lines.length, "one line a minute").toBeLessThanOrEqual(minutes);
  const metrics = await (await get("/metrics", {})).text();
  expect(metrics).toMatch(/tellwire_calls_refused_total\{limit="failed-logins"\} 4/);
  expect(metrics).toMatch(/tellwire_calls_refused_total\{limit="key"\} \d/);
});
