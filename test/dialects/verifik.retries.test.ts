import { randomBytes } from "node:crypto";
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { createTestEngine, deliveriesOf, type TestEngine, testSecretBox } from "../support/engine.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

/** Time passes when the test says so. Ahead of the database's own clock, by which lanes are made due at once. */
let nowMs = Date.now() + 3_600_000;
const ids = { now: () => nowMs, randomBytes };
let api: TestApi;
let verifik: ServedDialect;
let engine: TestEngine;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver(() => ({ status: 500 }));
  api = await startApi({ secretBox: testSecretBox, ids });
  verifik = await serveDialect(api, createVerifikDialect(api.useCases, { defaultPolicy: DEFAULT_RETRY_POLICY }));
  engine = createTestEngine({ database: api.database, broker: api.broker, ids });
  await engine.engine.start();
});
afterAll(async () => {
  await engine?.stop();
  await verifik?.close();
  await api?.close();
  await receiver?.close();
});

it("a notification that fails is sent three times more, five seconds apart, and then given up; the webhook stays active", async () => {
  const { key, clients } = await api.addOrganization();
  const body = { url: receiver.url, name: "failing", isActive: true };
  const id: string = (await verifik.call("POST", "/v2/webhooks", { key, body })).body.data._id;
  await clients.events.publishEvent({ event: { type: "login.completed", data: fromJson(ValueSchema, 1) } });

  for (const attempt of [1, 2, 3]) {
    const [delivery] = await waitFor(
      async () => {
        const found = await deliveriesOf(api.database, id);
        return found[0]?.attemptCount === attempt && found;
      },
      { what: `attempt ${attempt}` },
    );
    const delayMs = delivery!.nextAttemptAt!.getTime() - nowMs;
    // Up to a tenth is added at random.
    expect(delayMs).toBeGreaterThanOrEqual(5_000);
    expect(delayMs).toBeLessThanOrEqual(5_500);
    nowMs += delayMs;
  }
  await waitFor(async () => (await deliveriesOf(api.database, id))[0]?.status === "EXHAUSTED", { what: "the end" });
  expect(receiver.requests).toHaveLength(4);
  expect(new Set(receiver.requests.map((request) => request.body)).size).toBe(1);
  expect((await verifik.call("GET", `/v2/webhooks/${id}`, { key })).body.data.isActive).toBe(true);
});

it("switching a webhook off cancels what waits for it", async () => {
  const { key, clients } = await api.addOrganization();
  const body = { url: receiver.url, name: "failing", isActive: true };
  const id: string = (await verifik.call("POST", "/v2/webhooks", { key, body })).body.data._id;
  await clients.events.publishEvent({ event: { type: "login.completed", data: fromJson(ValueSchema, 1) } });
  const statusOf = async () => (await deliveriesOf(api.database, id))[0]?.status;
  await waitFor(async () => (await statusOf()) === "SCHEDULED", { what: "the delivery" });
  await verifik.call("PUT", `/v2/webhooks/${id}`, { key, body: { isActive: false } });
  await waitFor(async () => (await statusOf()) === "CANCELLED", { what: "the end" });
});
