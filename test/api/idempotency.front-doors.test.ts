import { randomUUID } from "node:crypto";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebhookService } from "../../gen/tellwire/v1/webhook_service_pb.ts";
import { createGrpcJsClient } from "../support/grpc-js-client.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { createRestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { errorOf, webhookFor } from "./start-api.ts";

/** Nobody answers there: it is no port that a system gives out by itself, so that the challenges come to no receiver of another test. */
const url = "http://127.0.0.1:1025/hook";

let testDatabase: TestDatabase;
/** On one database. */
let processes: [TellwireProcess, TellwireProcess];
let organizationId: string;
let keys: [string, string];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  const settings = tellwireSettings({ TELLWIRE_DATABASE_URL: testDatabase.url });
  processes = [await startTellwire(settings), await startTellwire(settings)];
  const operator = createRestClient(processes[0].httpUrl, processes[0].operatorKey);
  ({ id: organizationId } = await operator<{ id: string }>("POST", "/v1/organizations", { name: "Once" }));
  const newKey = async () =>
    (await operator<{ key: string }>("POST", `/v1/organizations/${organizationId}/api-keys`, { name: "test" })).key;
  keys = [await newKey(), await newKey()];
});
afterAll(async () => {
  await Promise.all(processes?.map((process) => process.stop()) ?? []);
  await testDatabase?.drop();
});

it("two identical creations at the same moment, at two processes, create one webhook and get the same secret: REST", async () => {
  const key = randomUUID();
  const body = { name: "rest", url, eventTypes: ["*"], headers: { "x-b": "1", "x-a": "2" } };
  const answers = await Promise.all(processes.map((process) => post(process, "/v1/webhooks", { key, body })));
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(answers[0]!.text).toBe(answers[1]!.text);
  expect(JSON.parse(answers[0]!.text)).toMatchObject({ signingSecret: expect.stringMatching(/^whsec_/) });
  expect(answers.map(({ replayed }) => replayed).sort()).toEqual([null, "true"]);
  expect(await webhooksNamed("rest")).toHaveLength(1);

  const reordered = { eventTypes: ["*"], headers: { "x-a": "2", "x-b": "1" }, url, name: "rest" };
  const again = await post(processes[0], "/v1/webhooks", { key, body: reordered });
  expect(again).toEqual({ status: 200, text: answers[0]!.text, replayed: "true" });
});

it("two identical creations at the same moment, at two processes, create one webhook and get the same secret: gRPC", async () => {
  const clients = processes.map(({ grpcUrl }) => createGrpcJsClient(WebhookService, grpcUrl, { "x-api-key": keys[0] }));
  const metadata = { "idempotency-key": randomUUID() };
  const request = { webhook: webhookFor(url, { name: "grpc" }) };
  const [one, other] = await Promise.all(clients.map((client) => client.createWebhook(request, { metadata })));
  expect(one!.signingSecret).toMatch(/^whsec_/);
  expect(other).toEqual(one);
  expect(await webhooksNamed("grpc")).toHaveLength(1);
  for (const client of clients) client[Symbol.dispose]();
});

it("a replay says that it is one in every protocol, and a key counts across them", async () => {
  const key = randomUUID();
  const [{ httpUrl, grpcUrl }] = processes;
  const first = await create(createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }), key);
  expect(first.replayed).toBeNull();
  const transports = [
    createConnectTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
    createGrpcWebTransport({ baseUrl: httpUrl, httpVersion: "1.1" }),
    createGrpcTransport({ baseUrl: grpcUrl }),
  ];
  for (const transport of transports) {
    expect(await create(transport, key)).toEqual({ answer: first.answer, replayed: "true" });
  }
  const rest = await post(processes[1], "/v1/webhooks", { key, body: { name: "across", url, eventTypes: ["*"] } });
  expect(rest.replayed).toBe("true");
  expect(JSON.parse(rest.text)).toMatchObject({ signingSecret: first.answer.signingSecret });
});

it("a key that was used with another request is a conflict, whatever the protocol", async () => {
  const key = randomUUID();
  await post(processes[0], "/v1/webhooks", { key, body: { url, eventTypes: ["*"] } });
  const rest = await post(processes[1], "/v1/webhooks", { key, body: { url, eventTypes: ["a"] } });
  expect(rest.status).toBe(409);
  expect(JSON.parse(rest.text)).toMatchObject({
    error: { status: "ALREADY_EXISTS", details: [{ reason: "IDEMPOTENCY_CONFLICT", domain: "tellwire" }] },
  });
  const conflict = await errorOf(create(createGrpcTransport({ baseUrl: processes[0].grpcUrl }), key));
  expect(conflict).toMatchObject({ code: Code.AlreadyExists, reason: "IDEMPOTENCY_CONFLICT" });
});

it("another API key, and another method, have keys of their own", async () => {
  const key = randomUUID();
  const body = { url, eventTypes: ["*"] };
  const answers = [
    await post(processes[0], "/v1/webhooks", { key, body }),
    await post(processes[0], "/v1/webhooks", { key, body, apiKey: keys[1] }),
    await post(processes[0], "/v1/webhooks", {
      key,
      body: { ...body, organizationId },
      apiKey: processes[0].operatorKey,
    }),
  ];
  expect(new Set(answers.map(({ text }) => (JSON.parse(text) as { webhook: { id: string } }).webhook.id)).size).toBe(3);
  const published = await post(processes[0], "/v1/events", { key, body: { type: "order.paid", data: {} } });
  expect(published).toMatchObject({ status: 200, replayed: null });
  expect(await post(processes[1], "/v1/events", { key, body: { type: "order.paid", data: {} } })).toEqual({
    ...published,
    replayed: "true",
  });
});

it("a call that was refused does not spend its key", async () => {
  const key = randomUUID();
  const invalid = await post(processes[0], "/v1/webhooks", { key, body: { url, eventTypes: [] } });
  expect(invalid.status).toBe(400);
  const refused = await post(processes[0], "/v1/webhooks", { key, body: { url: "ftp://a", eventTypes: ["*"] } });
  expect(refused.status).toBe(400);
  const mended = await post(processes[0], "/v1/webhooks", { key, body: { url, eventTypes: ["*"] } });
  expect(mended).toMatchObject({ status: 200, replayed: null });
});

it("a deletion that is repeated with its key succeeds again", async () => {
  const { text } = await post(processes[0], "/v1/webhooks", { key: randomUUID(), body: { url, eventTypes: ["*"] } });
  const { id } = (JSON.parse(text) as { webhook: { id: string } }).webhook;
  const key = randomUUID();
  const remove = () => post(processes[0], `/v1/webhooks/${id}`, { key, method: "DELETE" });
  expect(await remove()).toEqual({ status: 200, text: "{}", replayed: null });
  expect(await remove()).toEqual({ status: 200, text: "{}", replayed: "true" });
});

it("a key on a call that only reads counts for nothing", async () => {
  const key = randomUUID();
  const before = await webhooksNamed("", key);
  await post(processes[0], "/v1/webhooks", { key, body: { url, eventTypes: ["*"] } });
  expect(await webhooksNamed("", key)).toHaveLength(before.length + 1);
});

it("a text that is no key is refused by the name of its header", async () => {
  const refused = await post(processes[0], "/v1/webhooks", { key: "a b", body: { url, eventTypes: ["*"] } });
  expect(refused.status).toBe(400);
  expect(refused.text).toContain('"field":"idempotency-key"');
});

it("no shown secret stands in the table", async () => {
  const key = randomUUID();
  const { text } = await post(processes[0], "/v1/webhooks", { key, body: { url, eventTypes: ["*"] } });
  const { signingSecret } = JSON.parse(text) as { signingSecret: string };
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 1 });
  const rows = await database.sql.query<{ answer: Buffer }>(
    { name: "", text: "select answer from idempotency_key where key = $1" },
    [key],
  );
  await database.close();
  expect(rows).toHaveLength(1);
  expect(rows[0]!.answer.length).toBeGreaterThan(signingSecret.length);
  expect(rows[0]!.answer.toString("latin1")).not.toContain(signingSecret);
});

interface Sent {
  key: string;
  body?: unknown;
  method?: string;
  apiKey?: string;
}

async function post({ httpUrl }: TellwireProcess, path: string, { key, body, method = "POST", apiKey }: Sent) {
  const response = await fetch(`${httpUrl}${path}`, {
    method,
    headers: {
      "x-api-key": apiKey ?? keys[0],
      "idempotency-key": key,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    text: await response.text(),
    replayed: response.headers.get("idempotency-replayed"),
  };
}

async function create(transport: Transport, key: string) {
  let replayed: string | null = null;
  const answer = await createClient(WebhookService, transport).createWebhook(
    { webhook: webhookFor(url, { name: "across" }) },
    {
      headers: { "x-api-key": keys[0], "idempotency-key": key },
      onHeader: (header) => {
        replayed = header.get("idempotency-replayed");
      },
    },
  );
  return { answer, replayed };
}

/** All of them where the name is empty. */
async function webhooksNamed(name: string, key = ""): Promise<unknown[]> {
  const response = await fetch(`${processes[0].httpUrl}/v1/webhooks?pageSize=200`, {
    headers: { "x-api-key": keys[0], ...(key === "" ? {} : { "idempotency-key": key }) },
  });
  const { webhooks } = (await response.json()) as { webhooks: { name?: string }[] };
  return name === "" ? webhooks : webhooks.filter((webhook) => webhook.name === name);
}
