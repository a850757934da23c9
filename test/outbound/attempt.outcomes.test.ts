import { randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { formatOf } from "../../src/domain/formats/catalogue.ts";
import { HmacKey } from "../../src/domain/hmac-key.ts";
import { type AttemptInput, attempt } from "../../src/outbound/attempt.ts";
import { startClient, startHttpReceiver, startTcpReceiver } from "./receiver.ts";

const secrets = [randomBytes(32), randomBytes(32)];
const event = {
  id: "evt_01h455vb4pex5vsknk084sn02q",
  uuid: "01890a5d-ac96-774b-bcce-b302099a8057",
  type: "invoice.paid",
  occurredAt: new Date(0),
  dataJson: '{"total":1}',
  organizationId: "org_01h455vb4pex5vsknk084sn02q",
};

function input(url: string, changes: Partial<AttemptInput> = {}): AttemptInput {
  return {
    url,
    headers: {},
    webhookId: "01890a5d-ac96-774b-bcce-b302099a8058",
    format: "STANDARD",
    payload: formatOf("STANDARD").encode(event, null),
    eventId: event.id,
    eventType: event.type,
    deliveryId: "01890a5d-ac96-774b-bcce-b302099a8059",
    signingKeys: secrets.map((secret) => new HmacKey(secret)),
    timeoutMs: 60_000,
    ...changes,
  };
}

const context = () => ({ client: startClient(), now: Date.now });

test("a request is signed so that every current secret verifies it", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end());
  await attempt(input(receiver.url, { headers: { "X-Tenant": "7" } }), context());
  const [request] = receiver.requests;
  expect(request!.headers).toMatchObject({
    "content-type": "application/json",
    "webhook-id": event.id,
    "user-agent": "Tellwire/test",
    "x-tenant": "7",
  });
  expect(request!.headers).not.toHaveProperty("webhook-request-origin");
  for (const secret of secrets) {
    const webhook = new Webhook(secret.toString("base64"));
    const headers = request!.headers as Record<string, string>;
    expect(webhook.verify(request!.body, headers)).toMatchObject({ type: "invoice.paid", data: { total: 1 } });
    expect(() => webhook.verify(`${request!.body} `, headers)).toThrow();
  }
});

test("two attempts have one webhook-id and timestamps of their own", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end());
  const client = startClient();
  const first = await attempt(input(receiver.url), { client, now: () => 1_700_000_000_999 });
  await attempt(input(receiver.url), { client, now: () => 1_700_000_300_000 });
  expect(first.startedAt).toBe(1_700_000_000_999);
  expect(receiver.requests.map(({ headers }) => [headers["webhook-id"], headers["webhook-timestamp"]])).toEqual([
    [event.id, "1700000000"],
    [event.id, "1700000300"],
  ]);
});

test("a binary CloudEvent carries its attributes and the signature of its body", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end());
  const payload = formatOf("CLOUDEVENTS_BINARY").encode(event, null);
  await attempt(input(receiver.url, { payload, requestOrigin: "hooks.example.com" }), context());
  const [request] = receiver.requests;
  expect(request!.body.toString()).toBe(event.dataJson);
  expect(request!.headers).toMatchObject({ "ce-id": event.id, "webhook-request-origin": "hooks.example.com" });
  const webhook = new Webhook(secrets[0]!.toString("base64"));
  expect(webhook.verify(request!.body, request!.headers as Record<string, string>)).toEqual({ total: 1 });
});

test.each([200, 201, 202, 204, 299])("%i is delivered", async (status) => {
  const receiver = await startHttpReceiver((_request, response) => response.writeHead(status).end());
  expect(await attempt(input(receiver.url), context())).toMatchObject({
    verdict: "delivered",
    statusCode: status,
    error: null,
    errorMessage: "",
    retryAfterMs: undefined,
  });
});

test.each([300, 301, 302, 304, 307, 400, 401, 404, 408, 409, 429, 500, 502, 503, 504])(
  "%i has failed",
  async (status) => {
    const receiver = await startHttpReceiver((_request, response) => response.writeHead(status).end());
    expect(await attempt(input(receiver.url), context())).toMatchObject({
      verdict: "failed",
      statusCode: status,
      error: "STATUS",
      errorMessage: expect.stringContaining(`answered ${status}`),
    });
  },
);

test("410 says that the receiver is gone", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.writeHead(410).end("bye"));
  const outcome = await attempt(input(receiver.url), context());
  expect(outcome).toMatchObject({ verdict: "gone", statusCode: 410, error: "STATUS", retryAfterMs: undefined });
  expect(outcome.responseBody.toString()).toBe("bye");
});

test.each([
  [429, "7", 7_000],
  [503, "7", 7_000],
  [503, new Date(1_700_000_060_000).toUTCString(), 60_000],
  [503, "soon", undefined],
  [500, "7", undefined],
  [200, "7", undefined],
  [301, "7", undefined],
  [410, "7", undefined],
])("on %i a Retry-After of %j asks for %s ms", async (status, value, retryAfterMs) => {
  const receiver = await startHttpReceiver((_request, response) =>
    response.writeHead(status, { "retry-after": value }).end(),
  );
  const outcome = await attempt(input(receiver.url), { client: startClient(), now: () => 1_700_000_000_000 });
  expect(outcome.retryAfterMs).toBe(retryAfterMs);
});

test("the first 16 KiB of the response are kept, and the status counts although the rest is cut off", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end("x".repeat(20_000)));
  const outcome = await attempt(input(receiver.url), context());
  expect(outcome).toMatchObject({ verdict: "delivered", statusCode: 200 });
  expect(outcome.responseBody).toHaveLength(16_384);
});

test("a failure without a response has no status, and says what kind it is", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.once("data", () => socket.resetAndDestroy()));
  expect(await attempt(input(receiver.url), context())).toMatchObject({
    verdict: "failed",
    statusCode: 0,
    error: "CONNECTION",
    errorMessage: "the connection was closed before the response was complete",
    responseBody: Buffer.alloc(0),
    retryAfterMs: undefined,
  });
  const refused = await attempt(input("http://10.0.0.1/"), context());
  expect(refused).toMatchObject({ verdict: "failed", statusCode: 0, error: "ADDRESS_REFUSED" });
});

test("the customer's headers cannot replace those that are signed", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end());
  const headers = { "Webhook-Id": "evt_other", "Content-Type": "text/plain", "webhook-signature": "v1,x" };
  await attempt(input(receiver.url, { headers }), context());
  expect(receiver.requests[0]!.headers).toMatchObject({
    "webhook-id": event.id,
    "content-type": "application/json",
    "webhook-signature": expect.stringMatching(/^v1,\S{44} v1,\S{44}$/),
  });
});
