import { Code } from "@connectrpc/connect";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, it } from "vitest";
import { AttemptError, AttemptTrigger, DeliveryStatus } from "../../gen/tellwire/v1/delivery_pb.ts";
import { VerificationMethod, WebhookFormat, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { echoChallenge, type Receiver, type Respond, startReceiver } from "../support/receiver.ts";
import { insertScheduledDelivery } from "../support/scheduled-delivery.ts";
import { waitFor } from "../support/wait-for.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
const receivers: Receiver[] = [];
beforeAll(async () => {
  api = await startApi();
  api.useCases.verificationWorker.start();
});
afterAll(async () => {
  await api.close();
  await Promise.all(receivers.map((receiver) => receiver.close()));
});

it("a webhook whose receiver echoes the challenge becomes active by itself", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  const receiver = await receiverThat(echoChallenge);
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(`${receiver.url}?a=b`) });
  expect(webhook).toMatchObject({ status: WebhookStatus.UNVERIFIED });
  expect(webhook?.statusReason).not.toBe("");
  const active = await waitForStatus(clients, webhook!.id, WebhookStatus.ACTIVE);
  expect(active.statusReason).toBe("");
  expect(active.verification?.verifyTime).toBeDefined();
  expect(active.etag).not.toBe(webhook?.etag);
  expect(receiver.requests).toHaveLength(1);
  expect(receiver.requests[0]).toMatchObject({ method: "GET" });
  expect(receiver.requests[0]?.path).toMatch(/^\/hook\?a=b&verification_challenge=/);
  const changes = () => api.changed.filter((change) => change === parseId("organization", organizationId));
  await waitFor(() => changes().length === 2, { what: "both changes to be told in this process" });
});

it("a webhook whose receiver agrees to the CloudEvents handshake becomes active by itself", async () => {
  const { clients } = await api.addOrganization();
  const receiver = await receiverThat(() => ({ status: 200, headers: { "webhook-allowed-origin": "tellwire.test" } }));
  const { webhook } = await clients.webhooks.createWebhook({
    webhook: webhookFor(receiver.url, { verification: { method: VerificationMethod.CLOUDEVENTS } }),
  });
  await waitForStatus(clients, webhook!.id, WebhookStatus.ACTIVE);
  expect(receiver.requests).toMatchObject([
    { method: "OPTIONS", headers: { "webhook-request-origin": "tellwire.test" } },
  ]);
  const tested = await clients.webhooks.testWebhook({ id: webhook!.id });
  expect(tested.success).toBe(true);
  expect(receiver.requests[1]?.headers["webhook-request-origin"]).toBe("tellwire.test");
});

it("a receiver that proves nothing leaves its webhook unverified, with the reason, until a verification on demand succeeds", async () => {
  const { clients } = await api.addOrganization();
  const receiver = await receiverThat(() => ({ status: 200, body: "hello" }));
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(receiver.url) });
  const id = webhook!.id;
  const failed = await waitFor(async () => {
    const { webhook: now } = await clients.webhooks.getWebhook({ id });
    return now?.statusReason.includes("challenge") ? now : undefined;
  });
  expect(failed.status).toBe(WebhookStatus.UNVERIFIED);

  const again = await clients.webhooks.verifyWebhook({ id });
  expect(again).toMatchObject({ verified: false, webhook: { status: WebhookStatus.UNVERIFIED } });
  expect(again.failure).toContain("verification_challenge");
  receiver.respondWith(echoChallenge);
  const proven = await clients.webhooks.verifyWebhook({ id });
  expect(proven).toMatchObject({ verified: true, failure: "", webhook: { status: WebhookStatus.ACTIVE } });

  receiver.respondWith(() => ({ status: 500 }));
  const failing = await clients.webhooks.verifyWebhook({ id });
  expect(failing).toMatchObject({ verified: false, webhook: { status: WebhookStatus.ACTIVE, statusReason: "" } });
  expect(failing.webhook).toEqual(proven.webhook);
});

it("a new URL has to be verified anew, and the proof of the old one counts for nothing", async () => {
  const { clients } = await api.addOrganization();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const slow = await receiverThat(async (request) => {
    await released;
    return echoChallenge(request);
  });
  const refusing = await receiverThat(() => ({ status: 403 }));
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(slow.url) });
  const id = webhook!.id;
  await waitFor(() => slow.requests.length === 1);
  const moved = await clients.webhooks.updateWebhook({ webhook: { id, url: refusing.url } });
  expect(moved.webhook?.status).toBe(WebhookStatus.UNVERIFIED);
  release();
  const after = await waitFor(async () => {
    const { webhook: now } = await clients.webhooks.getWebhook({ id });
    return now?.statusReason.includes("403") ? now : undefined;
  });
  expect(after).toMatchObject({ status: WebhookStatus.UNVERIFIED, url: refusing.url });

  const back = await activeWebhook(clients);
  const changed = await clients.webhooks.updateWebhook({ webhook: { id: back.id, url: refusing.url } });
  expect(changed.webhook).toMatchObject({ status: WebhookStatus.UNVERIFIED });
  expect(changed.webhook?.verification?.verifyTime).toBeUndefined();
});

it("pausing and resuming can be repeated, keep what was waiting, and need a verified webhook", async () => {
  const { clients } = await api.addOrganization();
  const { id } = await activeWebhook(clients);
  const paused = await clients.webhooks.pauseWebhook({ id, reason: "maintenance" });
  expect(paused.webhook).toMatchObject({ status: WebhookStatus.PAUSED, statusReason: "maintenance" });
  expect((await clients.webhooks.pauseWebhook({ id })).webhook).toEqual(paused.webhook);

  await api.database.sql.query({ name: "", text: "update lane set due_at = 'infinity' where webhook_id = $1" }, [
    parseId("webhook", id),
  ]);
  const activeSince = (await storedWebhook(id)).activeSince;
  api.changed.length = 0;
  const resumed = await clients.webhooks.resumeWebhook({ id });
  expect(resumed.webhook).toMatchObject({ status: WebhookStatus.ACTIVE, statusReason: "" });
  expect(api.changed).toContain("lanes");
  expect(await laneIsDue(id)).toBe(true);
  expect((await storedWebhook(id)).activeSince).toEqual(activeSince);
  expect((await clients.webhooks.resumeWebhook({ id })).webhook).toEqual(resumed.webhook);

  const em = api.database.em();
  await em.nativeUpdate(WebhookEntity, { id: parseId("webhook", id)! }, { status: "DISABLED", statusReason: "410" });
  expect((await errorOf(clients.webhooks.pauseWebhook({ id }))).reason).toBe("WEBHOOK_NOT_ACTIVE");
  api.advance(1_000);
  const enabled = await clients.webhooks.resumeWebhook({ id });
  expect(enabled.webhook?.status).toBe(WebhookStatus.ACTIVE);
  expect((await storedWebhook(id)).activeSince!.getTime()).toBeGreaterThan(activeSince!.getTime());

  const refusing = await receiverThat(() => ({ status: 500 }));
  const { webhook } = await clients.webhooks.createWebhook({ webhook: webhookFor(refusing.url) });
  const unverified = { id: webhook!.id };
  expect((await errorOf(clients.webhooks.pauseWebhook(unverified))).reason).toBe("WEBHOOK_NOT_ACTIVE");
  const resume = await errorOf(clients.webhooks.resumeWebhook(unverified));
  expect(resume).toMatchObject({ reason: "WEBHOOK_UNVERIFIED", code: Code.FailedPrecondition });
  const test = await errorOf(clients.webhooks.testWebhook(unverified));
  expect(test.reason).toBe("WEBHOOK_UNVERIFIED");
  expect(test.message).toContain("verify it first");
});

it("a test is signed, recorded, and answered with what the receiver said", async () => {
  const { clients } = await api.addOrganization();
  const { id, receiver, secret } = await activeWebhook(clients, { headers: { "x-acme": "7" }, eventTypes: ["other"] });
  receiver.respondWith(() => ({ status: 201, body: "thanks" }));
  const tested = await clients.webhooks.testWebhook({ id, data: { kind: { case: "stringValue", value: "héllo" } } });
  expect(tested).toMatchObject({
    success: true,
    attempt: { number: 1, statusCode: 201, responseBody: "thanks", trigger: AttemptTrigger.TEST, url: receiver.url },
  });
  expect(tested.attempt?.error).toBe(AttemptError.UNSPECIFIED);
  const request = receiver.requests.at(-1)!;
  expect(request.headers).toMatchObject({ "x-acme": "7", "webhook-id": tested.eventId });
  const verified = new StandardWebhook(secret).verify(request.body, request.headers as Record<string, string>);
  expect(verified).toMatchObject({ type: "webhook.test", data: "héllo" });

  const { delivery } = await clients.deliveries.getDelivery({ id: tested.deliveryId });
  expect(delivery).toMatchObject({
    status: DeliveryStatus.DELIVERED,
    eventId: tested.eventId,
    webhookId: id,
    attemptCount: 1,
    lastStatusCode: 201,
    eventType: "webhook.test",
  });
  expect(delivery?.attempts).toEqual([tested.attempt]);
  const { event } = await clients.events.getEvent({ id: tested.eventId });
  expect(event).toMatchObject({ type: "webhook.test", data: { kind: { case: "stringValue", value: "héllo" } } });
});

it("a failed test is not tried again, and a 410 to it disables nothing", async () => {
  const { clients } = await api.addOrganization();
  const { id, receiver } = await activeWebhook(clients, { format: WebhookFormat.CLOUDEVENTS_STRUCTURED });
  receiver.respondWith(() => ({ status: 410 }));
  const tested = await clients.webhooks.testWebhook({ id, eventType: "order.paid" });
  expect(tested).toMatchObject({ success: false, attempt: { statusCode: 410, error: AttemptError.STATUS } });
  expect(JSON.parse(receiver.requests.at(-1)!.body)).toMatchObject({ specversion: "1.0", type: "order.paid" });
  const { delivery } = await clients.deliveries.getDelivery({ id: tested.deliveryId });
  expect(delivery).toMatchObject({ status: DeliveryStatus.EXHAUSTED });
  expect(delivery?.statusReason).toContain("a test is not tried again");
  expect((await clients.webhooks.getWebhook({ id })).webhook?.status).toBe(WebhookStatus.ACTIVE);
  expect(Object.keys((await errorOf(clients.webhooks.testWebhook({ id, eventType: "a b" }))).fields)).toEqual([
    "event_type",
  ]);
});

it("during the overlap of a rotation both secrets sign, and after it only the new one", async () => {
  const { clients } = await api.addOrganization();
  const { id, receiver, secret: first } = await activeWebhook(clients);
  const rotated = await clients.webhooks.rotateWebhookSecret({ id, overlap: { seconds: 60n } });
  const second = rotated.signingSecret;
  expect(second).not.toBe(first);
  expect(rotated.previousSecretExpireTime).toBeDefined();
  await clients.webhooks.testWebhook({ id });
  expect(verifiedBy(receiver, first, second)).toEqual([true, true]);
  expect(receiver.requests.at(-1)!.headers["webhook-signature"]?.toString().split(" ")).toHaveLength(2);

  api.advance(61_000);
  await clients.webhooks.testWebhook({ id });
  expect(receiver.requests.at(-1)!.headers["webhook-signature"]?.toString().split(" ")).toHaveLength(1);
  api.advance(-61_000);
  const third = await clients.webhooks.rotateWebhookSecret({ id, overlap: {} });
  expect(third.previousSecretExpireTime).toBeUndefined();
  await clients.webhooks.testWebhook({ id });
  expect(verifiedBy(receiver, first, second, third.signingSecret)).toEqual([false, false, true]);

  for (let round = 0; round < 6; round += 1) await clients.webhooks.rotateWebhookSecret({ id });
  await clients.webhooks.testWebhook({ id });
  expect(receiver.requests.at(-1)!.headers["webhook-signature"]?.toString().split(" ")).toHaveLength(4);

  const bad = await errorOf(clients.webhooks.rotateWebhookSecret({ id, signingSecret: "nonsense" }));
  expect(bad.fields).toHaveProperty("signing_secret");
  expect(bad.message).not.toContain("nonsense");
  const long = await errorOf(clients.webhooks.rotateWebhookSecret({ id, overlap: { seconds: 2_592_001n } }));
  expect(long.fields).toHaveProperty("overlap");
});

it("a deletion cancels what was waiting, and its deliveries stay readable", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  const { id, secret } = await activeWebhook(clients);
  expect(secret).not.toBe("");
  const { deliveryId: done } = await clients.webhooks.testWebhook({ id });
  const waiting = await insertScheduledDelivery(api.database, {
    organizationId: parseId("organization", organizationId)!,
    webhookId: parseId("webhook", id)!,
  });
  await clients.webhooks.deleteWebhook({ id });

  const { deliveries } = await clients.deliveries.listDeliveries({ webhookId: id });
  expect(deliveries.map(({ status }) => status).sort()).toEqual([DeliveryStatus.DELIVERED, DeliveryStatus.CANCELLED]);
  const cancelled = (await clients.deliveries.getDelivery({ id: waiting })).delivery;
  expect(cancelled).toMatchObject({ statusReason: "the webhook was deleted" });
  expect(cancelled?.completeTime).toBeDefined();
  expect(cancelled?.nextAttemptTime).toBeUndefined();
  // For what was being scheduled at that moment.
  expect(await laneIsDue(id)).toBe(true);
  const em = api.database.em();
  const secrets = await em.execute("select 1 from webhook_secret where webhook_id = ?", [parseId("webhook", id)]);
  expect(secrets).toEqual([]);
  expect((await errorOf(clients.webhooks.deleteWebhook({ id }))).reason).toBe("WEBHOOK_NOT_FOUND");
  expect((await errorOf(clients.deliveries.retryDelivery({ id: done }))).reason).toBe("WEBHOOK_NOT_FOUND");
});

async function receiverThat(respond: Respond): Promise<Receiver> {
  const receiver = await startReceiver(respond);
  receivers.push(receiver);
  return receiver;
}

async function activeWebhook(clients: Clients, values: Parameters<typeof webhookFor>[1] = {}) {
  const receiver = await receiverThat(echoChallenge);
  const { webhook, signingSecret } = await clients.webhooks.createWebhook({
    webhook: webhookFor(receiver.url, values),
  });
  await waitForStatus(clients, webhook!.id, WebhookStatus.ACTIVE);
  return { id: webhook!.id, receiver, secret: signingSecret };
}

async function waitForStatus(clients: Clients, id: string, status: WebhookStatus) {
  return await waitFor(
    async () => {
      const { webhook } = await clients.webhooks.getWebhook({ id });
      return webhook?.status === status ? webhook : undefined;
    },
    { what: `the status ${status}` },
  );
}

/** Which of the secrets verify the last request. */
function verifiedBy(receiver: Receiver, ...secrets: string[]): boolean[] {
  const { body, headers } = receiver.requests.at(-1)!;
  return secrets.map((secret) => {
    try {
      new StandardWebhook(secret).verify(body, headers as Record<string, string>);
      return true;
    } catch {
      return false;
    }
  });
}

async function storedWebhook(id: string) {
  return await api.database.em().findOneOrFail(WebhookEntity, { id: parseId("webhook", id)! });
}

async function laneIsDue(id: string): Promise<boolean> {
  const rows = await api.database
    .em()
    .execute("select 1 from lane where webhook_id = ? and due_at <= now()", [parseId("webhook", id)]);
  return rows.length === 1;
}
