import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { SigningAlgorithm } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createJwksHandler } from "../../src/api/jwks-handler.ts";
import { parseId } from "../../src/domain/ids.ts";
import type { Sql } from "../../src/store/sql.ts";
import { createPublishedKeys } from "../../src/usecases/published-keys.ts";
import { startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
let origin: string;
let clients: TestApi["operator"];
/** Statements that the keys were read with, and the ids in each. */
let reads: string[][] = [];
let fails = false;
/** The clock of everything here. It goes as the tests say, so that none of them has to be quick. */
let nowMs = Date.now();
const failures: unknown[] = [];
const server = createServer();

beforeAll(async () => {
  api = await startApi({ ids: { now: () => nowMs, randomBytes } });
  ({ clients } = await api.addOrganization());
  const sql: Sql = {
    ...api.database.sql,
    async query<Row>(...[statement, parameters]: Parameters<Sql["query"]>) {
      reads.push(parameters[0] as string[]);
      if (fails) throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
      return await api.database.sql.query<Row>(statement, parameters);
    },
  };
  const publishedKeys = createPublishedKeys({ sql, now: () => nowMs, maxWaiting: 600 });
  const handle = createJwksHandler({ publishedKeys, onServerError: (error) => void failures.push(error) });
  // Who asks ends idle connections, and the server none at the moment of the next question.
  server.keepAliveTimeout = 0;
  server.on("request", (request, response) => {
    if (handle(request, response) === undefined) response.writeHead(418).end("left alone");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await api.close();
});
beforeEach(() => {
  reads = [];
  // Past the time that answers are kept.
  nowMs += 10_000;
});

it("a webhook's public keys are a JWK Set, in the shape of the RFCs, for anybody to keep for a minute", async () => {
  const { webhook, publicKey } = await createWithKeyPair();
  const response = await fetch(pathOf(webhook!.id));
  expect(response.status).toBe(200);
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "application/jwk-set+json",
    "cache-control": "public, max-age=60",
    "x-content-type-options": "nosniff",
    etag: expect.stringMatching(/^"[\w-]{22}"$/),
  });
  const x = Buffer.from(publicKey.slice(5), "base64").toString("base64url");
  // The whole of it: nothing else of the webhook is told.
  expect(await response.json()).toEqual({
    keys: [{ kty: "OKP", crv: "Ed25519", x, kid: expect.stringMatching(/^[\w-]{43}$/), use: "sig", alg: "EdDSA" }],
  });
  const byUuid = await fetch(pathOf(parseId("webhook", webhook!.id)!));
  expect(byUuid.headers.get("etag")).toBe(response.headers.get("etag"));
});

it("a rotation publishes both keys for the overlap, the new one first, and then the new one alone", async () => {
  const { webhook, publicKey: before } = await createWithKeyPair();
  const id = webhook!.id;
  const after = await rotate(id, 60n);
  nowMs += 59_999;
  expect(await keysOf(id)).toEqual([after, before]);
  nowMs += 1;
  expect(await keysOf(id)).toEqual([after]);
  const last = await rotate(id, 0n);
  nowMs += 5_000;
  expect(await keysOf(id)).toEqual([last]);
});

it("a key that expires while its set is kept in memory is gone at that moment", async () => {
  const { webhook, publicKey: before } = await createWithKeyPair();
  const id = webhook!.id;
  const after = await rotate(id, 2n);
  expect(await keysOf(id)).toEqual([after, before]);
  nowMs += 1_999;
  expect(await keysOf(id)).toEqual([after, before]);
  nowMs += 1;
  expect(await keysOf(id)).toEqual([after]);
  expect(reads).toHaveLength(1);
});

it("whoever has the keys is told so without a body, and HEAD has the headers alone", async () => {
  const { webhook } = await createWithKeyPair();
  const etag = (await fetch(pathOf(webhook!.id))).headers.get("etag")!;
  for (const known of [etag, `"other", W/${etag}`, "*"]) {
    const again = await fetch(pathOf(webhook!.id), { headers: { "if-none-match": known } });
    expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
  }
  const head = await fetch(pathOf(webhook!.id), { method: "HEAD" });
  expect([head.status, await head.text(), head.headers.get("etag")]).toEqual([200, "", etag]);
});

it("one that signs with a secret, one that was deleted, one that never was and what is no id are answered alike", async () => {
  const { webhook: hmac } = await clients.webhooks.createWebhook({ webhook: webhookFor("https://example.com/") });
  const { webhook: deleted } = await createWithKeyPair();
  await clients.webhooks.deleteWebhook({ id: deleted!.id });
  const answers = await Promise.all(
    [hmac!.id, deleted!.id, "wh_01k3a9q7j8f0vb2m4n6p8r1s3t", "x"].map(async (id) => {
      const response = await fetch(pathOf(id));
      const { date: _, ...headers } = Object.fromEntries(response.headers);
      return { status: response.status, headers, body: await response.json() };
    }),
  );
  expect(answers[0]).toMatchObject({
    status: 404,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: {
      error: {
        code: 404,
        status: "NOT_FOUND",
        details: [
          { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "WEBHOOK_NOT_FOUND", domain: "tellwire" },
        ],
      },
    },
  });
  for (const answer of answers) expect(answer).toEqual(answers[0]);
});

it("only GET and HEAD are served, and other paths are left to others", async () => {
  const { webhook } = await createWithKeyPair();
  const posted = await fetch(pathOf(webhook!.id), { method: "POST", body: "{}" });
  expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  expect(await posted.json()).toMatchObject({ error: { status: "UNIMPLEMENTED" } });
  for (const path of [
    "/.well-known/jwks.json",
    "/.well-known/webhooks//jwks.json",
    `${new URL(pathOf("a")).pathname}/b`,
  ]) {
    expect((await fetch(origin + path)).status, path).toBe(418);
  }
});

it("however many ask, the database is asked with one statement at a time, and for each webhook once in five seconds", async () => {
  const { webhook } = await createWithKeyPair();
  await Promise.all(Array.from({ length: 50 }, () => fetch(pathOf(webhook!.id)).then((response) => response.text())));
  await fetch(pathOf("wh_01k3a9q7j8f0vb2m4n6p8r1s3t"));
  const uuid = parseId("webhook", webhook!.id)!;
  expect(reads.flat().filter((id) => id === uuid)).toHaveLength(1);
  const before = reads.length;
  await fetch(pathOf("wh_01k3a9q7j8f0vb2m4n6p8r1s3t"));
  expect(reads).toHaveLength(before);
  nowMs += 4_999;
  await keysOf(webhook!.id);
  expect(reads).toHaveLength(before);
  nowMs += 1;
  await keysOf(webhook!.id);
  expect(reads).toHaveLength(before + 1);
});

it("more who ask for different webhooks than may wait are told to come again", async () => {
  const released = Promise.withResolvers<void>();
  const sql = { ...api.database.sql, query: () => released.promise.then(() => []) } as unknown as Sql;
  const publishedKeys = createPublishedKeys({ sql, now: () => nowMs, maxWaiting: 3 });
  const ids = ["a", "b", "c", "d", "e"];
  const answers = Promise.allSettled(ids.map(publishedKeys));
  released.resolve();
  expect((await answers).map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "fulfilled",
    "rejected",
    "rejected",
  ]);
  await expect(publishedKeys("f")).resolves.toEqual([]);
});

it("while the database is away, those who ask are told to come again, and the next answer is right", async () => {
  const { webhook } = await createWithKeyPair();
  fails = true;
  const response = await fetch(pathOf(webhook!.id));
  fails = false;
  expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await response.json()).toMatchObject({
    error: { status: "UNAVAILABLE", details: [{ reason: "DATABASE_UNAVAILABLE" }] },
  });
  expect(failures).toHaveLength(1);
  expect((await fetch(pathOf(webhook!.id))).status).toBe(200);
});

async function createWithKeyPair() {
  const webhook = webhookFor("https://example.com/", { signingAlgorithm: SigningAlgorithm.ED25519 });
  return await clients.webhooks.createWebhook({ webhook });
}

/** A moment later: keys are in the order in which they were made. The new public key. */
async function rotate(id: string, overlapSeconds: bigint): Promise<string> {
  nowMs += 1;
  return (await clients.webhooks.rotateWebhookSecret({ id, overlap: { seconds: overlapSeconds } })).publicKey;
}

function pathOf(id: string): string {
  return `${origin}/.well-known/webhooks/${id}/jwks.json`;
}

/** As Standard Webhooks writes them. */
async function keysOf(id: string): Promise<string[]> {
  const { keys } = (await (await fetch(pathOf(id))).json()) as { keys: { x: string }[] };
  return keys.map(({ x }) => `whpk_${Buffer.from(x, "base64url").toString("base64")}`);
}
