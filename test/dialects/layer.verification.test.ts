import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { type Clients, errorOf, startApi, type TestApi } from "../api/start-api.ts";
import { echoChallenge, type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";
import { layerVerdict } from "./layer-verdict.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

let api: TestApi;
let layer: ServedDialect;
let key: string;
let path: string;
let clients: Clients;
const receivers: Receiver[] = [];
beforeAll(async () => {
  api = await startApi();
  layer = await serveDialect(api, createLayerDialect(api.useCases, { publicUrl: undefined, scheme: "http" }));
  api.useCases.verificationWorker.start();
});
beforeEach(async () => {
  const organization = await api.addOrganization();
  ({ key, clients } = organization);
  path = `/apps/${parseId("organization", organization.id)}/webhooks`;
});
afterEach(async () => {
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
  expect(api.backgroundFailures).toEqual([]);
});
afterAll(async () => {
  await layer.close();
  await api.close();
});

async function receiverThat(respond: Respond): Promise<Receiver> {
  const receiver = await startReceiver(respond);
  receivers.push(receiver);
  return receiver;
}

/** Registers a webhook, and answers with its own path. */
async function register(target_url: string): Promise<string> {
  const body = { version: "2.0", target_url, events: ["message.sent"], secret: "1697f925ec7b1697f925ec7b" };
  const registered = await layer.call("POST", path, { key, body });
  expect(registered).toMatchObject({ status: 201, body: { status: "unverified" } });
  return new URL(registered.body.url).pathname;
}

/** The webhook as soon as its verification is over, and how often its receiver was asked at most. */
function verdict(own: string) {
  return layerVerdict((method, rest) => layer.call(method, own + rest, { key }));
}

/** Challenges alone, and no more of them than there were verifications. */
function expectAsked({ requests }: Receiver, rounds: number): void {
  expect(new Set(requests.map(({ method, body }) => `${method} ${body}`))).toEqual(new Set(["GET "]));
  expect(requests.length).toBeLessThanOrEqual(rounds);
}

describe("a webhook verifies itself after its registration", () => {
  it("a receiver that echoes the challenge ends active", async () => {
    const receiver = await receiverThat(echoChallenge);
    const { webhook, rounds } = await verdict(await register(`${receiver.url}?room=1`));
    expect(webhook.status).toBe("active");
    expect(webhook).not.toHaveProperty("status_reason");
    expectAsked(receiver, rounds);
    expect(receiver.requests[0]?.path).toMatch(/^\/hook\?room=1&verification_challenge=[\w-]{16,}$/);
  });

  const echoed = (request: Parameters<Respond>[0]) => echoChallenge(request).body ?? "";
  const refusals: [what: string, respond: Respond, reason: string][] = [
    ["answers something else", () => ({ status: 200, body: "hello" }), "the value of the query parameter"],
    ["answers nothing", () => ({ status: 200 }), "the value of the query parameter"],
    ["adds to the challenge", (request) => ({ status: 200, body: `${echoed(request)}\n` }), "and nothing else"],
    ["echoes with another status", (request) => ({ status: 201, body: echoed(request) }), "answered 201"],
    ["fails", (request) => ({ status: 500, body: echoed(request) }), "answered 500"],
    ["sends us elsewhere", () => ({ status: 302, headers: { location: "/other" } }), "redirects are not followed"],
  ];
  it.each(refusals)("a receiver that %s ends inactive with a reason", async (_what, respond, reason) => {
    const receiver = await receiverThat(respond);
    const { webhook, rounds } = await verdict(await register(receiver.url));
    expect(webhook).toMatchObject({ status: "inactive", status_reason: expect.stringContaining(reason) });
    expectAsked(receiver, rounds);
  });

  it("a receiver that takes longer than a second ends inactive, and is not asked again", async () => {
    const judged = Promise.withResolvers<void>();
    const receiver = await receiverThat(async (request) => {
      await judged.promise;
      return echoChallenge(request);
    });
    // The registration does not wait for it: it answers with an unverified webhook.
    const own = await register(receiver.url);
    const webhook = await waitFor(async () => {
      const { body } = await layer.call("GET", own, { key });
      return body.status !== "unverified" && body;
    });
    judged.resolve();
    expect(webhook).toMatchObject({
      status: "inactive",
      status_reason: expect.stringContaining("within 1000 ms"),
    });
    expectAsked(receiver, 1);
  });

  it("a receiver that nobody reaches ends inactive", async () => {
    const receiver = await startReceiver();
    await receiver.close();
    expect((await verdict(await register(receiver.url))).webhook).toMatchObject({ status: "inactive" });
  });
});

describe("activating", () => {
  it("starts a new verification of an inactive webhook, whatever made it inactive", async () => {
    const receiver = await receiverThat(() => ({ status: 404 }));
    const own = await register(receiver.url);
    const refused = await verdict(own);
    expect(refused.webhook).toMatchObject({ status: "inactive" });
    let { rounds } = refused;
    receiver.respondWith(echoChallenge);
    for (const rest of ["", "/deactivate"]) {
      if (rest !== "") await layer.call("POST", `${own}${rest}`, { key });
      const activated = await layer.call("POST", `${own}/activate`, { key });
      expect(activated).toMatchObject({ status: 200, body: { status: "unverified" } });
      expect(activated.body).not.toHaveProperty("status_reason");
      const agreed = await verdict(own);
      expect(agreed.webhook).toMatchObject({ status: "active" });
      rounds += agreed.rounds;
    }
    expectAsked(receiver, rounds);
  });

  it("leaves an active webhook alone", async () => {
    const receiver = await receiverThat(echoChallenge);
    const own = await register(receiver.url);
    const { webhook: before, rounds } = await verdict(own);
    expect(await layer.call("POST", `${own}/activate`, { key })).toMatchObject({ status: 200, body: before });
    expectAsked(receiver, rounds);
  });

  it("a new target_url is verified like that of a new webhook, and the same one again is not", async () => {
    const [first, second] = [await receiverThat(echoChallenge), await receiverThat(() => ({ status: 400 }))];
    const own = await register(first.url);
    const { rounds } = await verdict(own);
    const same = await layer.call("PATCH", own, { key, body: { target_url: first.url } });
    expect(same.body.status).toBe("active");
    const moved = await layer.call("PATCH", own, { key, body: { target_url: second.url } });
    expect(moved.body.status).toBe("unverified");
    const refused = await verdict(own);
    expect(refused.webhook).toMatchObject({ status: "inactive", target_url: second.url });
    expectAsked(first, rounds);
    expectAsked(second, refused.rounds);
  });
});

it("a receiver that did not agree gets no event by way of the native API either", async () => {
  const receiver = await receiverThat(() => ({ status: 404 }));
  const own = await register(receiver.url);
  const { rounds } = await verdict(own);
  const id = own.split("/").at(-1) ?? "";
  expect((await errorOf(clients.webhooks.resumeWebhook({ id }))).reason).toBe("WEBHOOK_UNVERIFIED");
  expect((await errorOf(clients.webhooks.testWebhook({ id }))).reason).toBe("WEBHOOK_UNVERIFIED");
  expectAsked(receiver, rounds);

  receiver.respondWith(echoChallenge);
  await waitFor(async () => (await clients.webhooks.verifyWebhook({ id })).verified, { what: "the receiver to agree" });
  await clients.webhooks.resumeWebhook({ id });
  expect((await layer.call("GET", own, { key })).body.status).toBe("active");
});
