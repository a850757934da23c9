import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { WebhookFormat } from "../../src/domain/formats/catalogue.ts";
import { parseId } from "../../src/domain/ids.ts";
import type { VerificationMethod } from "../../src/domain/webhook.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { readDelivery } from "../../src/store/sql/stored-deliveries.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { operator } from "../support/principals.ts";
import { echoChallenge, type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { insertScheduledDelivery } from "../support/scheduled-delivery.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
let organizationId: string;
const receivers: Receiver[] = [];
beforeAll(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
  api.useCases.verificationWorker.start();
});
afterEach(async () => {
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
});
afterAll(() => api.close());

it("a webhook that is switched off gets a reason, and what waited for it is cancelled, in one go", async () => {
  const target = await webhookOf("LAYERS", "NONE");
  const waiting = await Promise.all([1, 2, 3].map(() => waitingDelivery(target.id)));
  api.changed.length = 0;
  const { webhook, etag } = await api.useCases.webhooks.disable(operator, { ...target, reason: "not wanted" });
  expect(webhook).toMatchObject({ status: "DISABLED", statusReason: "not wanted" });
  const deliveries = await Promise.all(waiting.map(storedDelivery));
  expect(deliveries.map((delivery) => [delivery?.status, delivery?.nextAttemptAt])).toEqual(
    waiting.map(() => ["CANCELLED", null]),
  );
  expect(api.changed).toEqual([organizationId, "lanes"]);

  const again = await api.useCases.webhooks.disable(operator, { ...target, reason: "not wanted" });
  expect(again.etag).toBe(etag);
  const other = await api.useCases.webhooks.disable(operator, { ...target, reason: "really not" });
  expect(other.webhook.statusReason).toBe("really not");
});

it("a paused webhook and an unverified one can be switched off, and a verification that was due is not made any more", async () => {
  const paused = await webhookOf("LAYERS", "NONE");
  await api.useCases.webhooks.pause(operator, { ...paused, reason: "" });
  expect((await api.useCases.webhooks.disable(operator, { ...paused, reason: "" })).webhook).toMatchObject({
    status: "DISABLED",
    statusReason: "it was switched off by request",
  });
  const unverified = await webhookOf("STANDARD", "CHALLENGE", () => "hang");
  const { webhook } = await api.useCases.webhooks.disable(operator, { ...unverified, reason: "off" });
  expect(webhook).toMatchObject({ status: "DISABLED", verificationDueAt: null });
});

it("a webhook that needs no verification is active at once, and counts what is given up from zero", async () => {
  const target = await webhookOf("VERIFIK", "NONE");
  await api.database
    .em()
    .execute("update webhook_health set consecutive_failures = 9, consecutive_exhausted = 3 where webhook_id = ?", [
      target.id,
    ]);
  await api.useCases.webhooks.disable(operator, { ...target, reason: "off" });
  const { webhook, health, etag } = await api.useCases.webhooks.activate(operator, target);
  expect(webhook).toMatchObject({ status: "ACTIVE", statusReason: "" });
  expect(health?.consecutiveExhausted).toBe(0);
  expect((await api.useCases.webhooks.activate(operator, target)).etag).toBe(etag);
});

it("what was kept while a webhook was paused is still for it when it is activated", async () => {
  const target = await webhookOf("LAYERS", "NONE");
  const since = (await stored(target.id)).activeSince;
  await api.useCases.webhooks.pause(operator, { ...target, reason: "" });
  const waiting = await waitingDelivery(target.id);
  const { webhook } = await api.useCases.webhooks.activate(operator, target);
  expect(webhook.activeSince).toEqual(since);
  expect(await storedDelivery(waiting)).toMatchObject({ status: "SCHEDULED" });
});

it("a webhook whose format asks for verification is verified anew when it is activated", async () => {
  const target = await webhookOf("STANDARD", "CHALLENGE");
  await waitFor(async () => (await stored(target.id)).status === "ACTIVE");
  await api.useCases.webhooks.disable(operator, { ...target, reason: "Deactivated by User" });
  const { webhook } = await api.useCases.webhooks.activate(operator, target);
  expect(webhook).toMatchObject({ status: "UNVERIFIED", verifiedAt: null });
  await waitFor(async () => (await stored(target.id)).status === "ACTIVE");
});

async function webhookOf(
  format: WebhookFormat,
  verificationMethod: VerificationMethod,
  respond: Respond = echoChallenge,
) {
  const receiver = await startReceiver(respond);
  receivers.push(receiver);
  const { record } = await api.useCases.webhooks.create(operator, {
    organizationId,
    projectIds: [],
    name: "",
    description: "",
    url: receiver.url,
    eventTypes: ["*"],
    format,
    headers: {},
    config: null,
    retry: { delaysMs: null, maxAttempts: null, timeoutMs: null },
    disableAfterExhausted: null,
    verificationMethod,
    rateLimit: null,
    ordering: "NONE",
    signingSecret: "",
  });
  return { id: record.webhook.id, organizationId: undefined };
}

function waitingDelivery(webhookId: string): Promise<string> {
  return insertScheduledDelivery(api.database, { organizationId, webhookId });
}

async function storedDelivery(id: string) {
  return await readDelivery(api.database.sql, { id, organizationId });
}

async function stored(id: string) {
  return await api.database.em().findOneOrFail(WebhookEntity, { id });
}
