import { afterEach, beforeEach, expect, it } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import type { RecoveryScope } from "../../src/domain/recovery.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook, createTestEngine, deliveriesOf, type TestEngine } from "../support/engine.ts";
import { insertFinishedDeliveries, insertPastEvents } from "../support/event-history.ts";
import { operator } from "../support/principals.ts";
import { type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
let engine: TestEngine;
let receiver: Receiver;
let organizationId: string;
beforeEach(async () => {
  api = await startApi();
  engine = createTestEngine({ database: api.database, broker: api.broker });
  await engine.engine.start();
  receiver = await startReceiver();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
  api.useCases.recoveryWorker.start();
});
afterEach(async () => {
  await engine.stop();
  await api.close();
  await receiver.close();
});

it("what was never sent arrives, each event once, though it came before the webhook was there", async () => {
  const events = await past(20);
  const { webhook } = await addWebhook(api.database, organizationId, { url: receiver.url, eventTypes: ["order.*"] });
  await recover(webhook.id, "NEVER_SENT");
  const delivered = async () => (await statuses(webhook.id)).filter((status) => status === "DELIVERED 1");
  await waitFor(async () => (await delivered()).length === events.length, { what: "the deliveries" });
  expect(new Set(receiver.requests.map(({ headers }) => headers["webhook-id"])).size).toBe(events.length);
  await engine.stop();
  expect(new Set(await statuses(webhook.id))).toEqual(new Set(["DELIVERED 1"]));
  expect(receiver.requests).toHaveLength(events.length);
});

it("what failed gets one attempt more: it arrives, or it is given up again", async () => {
  const { webhook } = await addWebhook(api.database, organizationId, { url: receiver.url, eventTypes: ["order.*"] });
  await insertFinishedDeliveries(api.database, await past(6), {
    organizationId,
    webhookId: webhook.id,
    status: "EXHAUSTED",
    attemptCount: 10,
  });
  receiver.respondWith((_request, index) => ({ status: index % 2 === 0 ? 204 : 500 }));
  await recover(webhook.id, "FAILED");
  await waitFor(async () => (await statuses(webhook.id)).every((status) => status !== "SCHEDULED 10"), {
    what: "six attempts",
  });
  await engine.stop();
  expect((await statuses(webhook.id)).sort()).toEqual([
    "DELIVERED 11",
    "DELIVERED 11",
    "DELIVERED 11",
    "EXHAUSTED 11",
    "EXHAUSTED 11",
    "EXHAUSTED 11",
  ]);
  expect(receiver.requests).toHaveLength(6);
});

function past(count: number) {
  return insertPastEvents(api.database, { organizationId, count, receivedAt: Date.now() - 60_000 });
}

async function recover(webhookId: string, scope: RecoveryScope): Promise<void> {
  const times = { since: new Date(Date.now() - 120_000), until: new Date(Date.now() - 20_000) };
  const { id } = await api.useCases.recoveries.start(operator, { id: webhookId, organizationId, scope, ...times });
  await waitFor(
    async () => (await api.useCases.recoveries.get(operator, { id, organizationId })).status === "COMPLETED",
    { what: "the recovery" },
  );
}

async function statuses(webhookId: string): Promise<string[]> {
  const deliveries = await deliveriesOf(api.database, webhookId);
  return deliveries.map(({ status, attemptCount }) => `${status} ${attemptCount}`);
}
