import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createLayerDialect } from "../../src/dialects/layer/layer-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { createTestEngine, deliveriesOf, type TestEngine, testSecretBox } from "../support/engine.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";
import { layerVerdict } from "./layer-verdict.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

/** Time passes when the test says so. Ahead of the database's own clock, by which lanes are made due at once. */
let nowMs = Date.now() + 3_600_000;
const ids = { now: () => nowMs, randomBytes };

let api: TestApi;
let layer: ServedDialect;
let engine: TestEngine;
let receiver: Receiver;
beforeAll(async () => {
  api = await startApi({ ids, secretBox: testSecretBox });
  layer = await serveDialect(api, createLayerDialect(api.useCases, { publicUrl: undefined, scheme: "http" }));
  engine = createTestEngine({ database: api.database, broker: api.broker, ids });
  await engine.engine.start();
  api.useCases.verificationWorker.start();
  receiver = await startReceiver((request) => (request.method === "GET" ? echoChallenge(request) : { status: 503 }));
});
afterAll(async () => {
  await receiver.close();
  await engine.stop();
  await layer.close();
  await api.close();
});

it("six attempts in 28 minutes, then the webhook is inactive with a reason, and everything that waited for it is dropped", async () => {
  const { id: organization, key, clients } = await api.addOrganization();
  const body = { version: "1.0", target_url: receiver.url, events: ["message.sent"], secret: "1697f925ec7b" };
  const path = `/apps/${parseId("organization", organization)}/webhooks`;
  const own = new URL((await layer.call("POST", path, { key, body })).body.url).pathname;
  const webhookId = own.split("/").at(-1)!;
  const call = (method: string, rest: string) => layer.call(method, own + rest, { key });
  expect((await layerVerdict(call)).webhook.status).toBe("active");
  const publish = async () =>
    await clients.events.publishEvent({ event: { type: "message.sent", dataJson: Buffer.from("{}") } });

  await publish();
  const began = nowMs;
  const waits: number[] = [];
  for (const attempts of [1, 2, 3, 4, 5]) {
    const [delivery] = await waitFor(async () => {
      const found = await deliveriesOf(api.database, webhookId);
      return found[0]?.attemptCount === attempts ? found : undefined;
    });
    const next = delivery!.nextAttemptAt!.getTime();
    waits.push((next - nowMs) / 1000);
    // One that waits while the first is at its end: its own schedule has only begun.
    if (attempts === 5) await publishAndWait();
    nowMs = next;
  }
  const lost = await waitFor(async () => {
    const { body: found } = await call("GET", "");
    return found.status === "inactive" ? found : undefined;
  });

  // "After about": up to a tenth is added.
  const schedule = [10, 30, 120, 300, 1200];
  schedule.forEach((seconds, index) => {
    expect(waits[index]).toBeGreaterThanOrEqual(seconds);
    expect(waits[index]).toBeLessThanOrEqual(seconds * 1.1);
  });
  const minutes = (nowMs - began) / 60_000;
  expect(minutes).toBeGreaterThan(27);
  expect(minutes).toBeLessThan(31);
  expect(lost.status_reason).toBe("a delivery was given up after its last attempt");
  const deliveries = await waitFor(async () => {
    const found = await deliveriesOf(api.database, webhookId);
    return found.some(({ status }) => status === "SCHEDULED") ? undefined : found;
  });
  expect(deliveries).toMatchObject([
    { status: "EXHAUSTED", attemptCount: 6 },
    { status: "CANCELLED", statusReason: "the webhook was disabled" },
  ]);

  const requests = receiver.requests.length;
  const ofFirst = receiver.requests.filter(({ headers }) => headers["layer-webhook-request-id"] === deliveries[0]!.id);
  expect(ofFirst).toHaveLength(6);
  const { eventId: missed } = await publish();
  await waitFor(() => clients.events.getEvent({ id: missed }).catch(() => undefined));
  nowMs += 60_000;
  await call("POST", "/activate");
  expect((await layerVerdict(call)).webhook.status).toBe("active");
  expect(new Set(receiver.requests.slice(requests).map(({ method }) => method))).toEqual(new Set(["GET"]));
  expect(await deliveriesOf(api.database, webhookId)).toHaveLength(2);
  expect(engine.failures).toEqual([]);

  async function publishAndWait(): Promise<void> {
    await publish();
    await waitFor(async () => {
      const [, second] = await deliveriesOf(api.database, webhookId);
      return second?.status === "SCHEDULED" && second.attemptCount === 1;
    });
  }
});
