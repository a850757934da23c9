import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { AttemptError, AttemptTrigger, DeliveryStatus } from "../../gen/tellwire/v1/delivery_pb.ts";
import { VerificationMethod } from "../../gen/tellwire/v1/webhook_pb.ts";
import { newUuid, parseId, publicId } from "../../src/domain/ids.ts";
import { AttemptEntity } from "../../src/store/entities/attempt.ts";
import { type Delivery, DeliveryEntity } from "../../src/store/entities/delivery.ts";
import { EventEntity } from "../../src/store/entities/event.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
let clients: Clients;
let organizationId: string;
let webhookId: string;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  const organization = await api.addOrganization();
  clients = organization.clients;
  organizationId = parseId("organization", organization.id)!;
  const { webhook } = await api.operator.webhooks.createWebhook({
    webhook: webhookFor("https://example.com/hook", {
      organizationId: organization.id,
      verification: { method: VerificationMethod.VOUCHED },
    }),
  });
  webhookId = parseId("webhook", webhook!.id)!;
});

it("a delivery is shown with its attempts, oldest first", async () => {
  const id = await record({ status: "EXHAUSTED", statusReason: "all 2 attempts failed", attemptCount: 2 });
  const startedAt = new Date("2026-01-01T00:00:00.000Z");
  for (const [number, error] of [
    [2, null],
    [1, "TIMEOUT"],
  ] as const) {
    await api.database.em().insert(AttemptEntity, {
      id: newUuid(api.dependencies.ids),
      deliveryId: id,
      number,
      trigger: "SCHEDULE",
      startedAt,
      latencyMs: 1500,
      statusCode: number,
      error,
      errorMessage: "e",
      responseBody: Buffer.from([0x68, 0xc3, 0xa9, 0xff]),
      url: "https://example.com/hook",
    });
  }
  const { delivery } = await clients.deliveries.getDelivery({ id });
  expect(delivery).toMatchObject({ status: DeliveryStatus.EXHAUSTED, statusReason: "all 2 attempts failed" });
  expect(delivery?.attempts).toMatchObject([
    { number: 1, error: AttemptError.TIMEOUT, trigger: AttemptTrigger.SCHEDULE, latency: { seconds: 1n } },
    { number: 2, error: AttemptError.UNSPECIFIED, responseBody: "hé\ufffd" },
  ]);
});

it("deliveries are listed newest first by webhook, event, status and time, page by page without loss within a millisecond", async () => {
  const ids: string[] = [];
  for (let index = 0; index < 7; index += 1) {
    ids.push(await record({ status: index % 2 === 0 ? "DELIVERED" : "SCHEDULED" }));
  }
  // Seven rows within one millisecond, in an order that their ids do not have.
  for (const [index, id] of ids.entries()) {
    const at = `2026-01-01T00:00:00.000${100 + index * 37}Z`;
    await api.database.em().execute("update delivery set created_at = ?::timestamptz where id = ?", [at, id]);
  }
  const expected = ids.toReversed().map((id) => publicId("delivery", id));
  const listed: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await clients.deliveries.listDeliveries({ pageSize: 2, pageToken });
    listed.push(...page.deliveries.map(({ id }) => id));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  expect(listed).toEqual(expected);

  const list = async (filter: Parameters<Clients["deliveries"]["listDeliveries"]>[0]) =>
    (await clients.deliveries.listDeliveries(filter)).deliveries.length;
  expect(await list({ statuses: [DeliveryStatus.DELIVERED] })).toBe(4);
  expect(await list({ statuses: [DeliveryStatus.DELIVERED, DeliveryStatus.SCHEDULED] })).toBe(7);
  expect(await list({ webhookId: publicId("webhook", webhookId) })).toBe(7);
  expect(await list({ webhookId: "wh_00000000000000000000000000" })).toBe(0);
  const event = (await clients.deliveries.getDelivery({ id: ids[3]! })).delivery!.eventId;
  expect(await list({ eventId: event })).toBe(1);
  expect(await list({ eventId: "no-such-event" })).toBe(0);
  expect(await list({ createdAfter: timestampFromMs(Date.UTC(2026, 0, 1)) })).toBe(7);
  expect(await list({ createdBefore: timestampFromMs(Date.UTC(2026, 0, 1)) })).toBe(0);
  const external = await errorOf(api.operator.deliveries.listDeliveries({ eventId: "no-such-event" }));
  expect(external).toMatchObject({ reason: "ORGANIZATION_REQUIRED" });
  const status = await errorOf(clients.deliveries.listDeliveries({ statuses: [0] }));
  expect(status.fields["statuses[0]"]).toContain("SCHEDULED, DELIVERED");
});

it("a scheduled delivery that is retried does not wait, and its lane is due", async () => {
  const id = await record({ status: "SCHEDULED", attemptCount: 2, nextAttemptAt: new Date(Date.now() + 3_600_000) });
  api.changed.length = 0;
  const { delivery } = await clients.deliveries.retryDelivery({ id });
  expect(delivery).toMatchObject({ status: DeliveryStatus.SCHEDULED, attemptCount: 2 });
  expect(Number(delivery!.nextAttemptTime!.seconds)).toBeLessThanOrEqual(Date.now() / 1000);
  expect(await stored(id)).toMatchObject({ manualRetry: "NOW" });
  expect(api.changed).toEqual(["lanes"]);
  expect(await laneDueIn()).toBeLessThanOrEqual(0);
});

it("a finished delivery that is retried gets one attempt more", async () => {
  const id = await record({
    status: "EXHAUSTED",
    statusReason: "all failed",
    attemptCount: 10,
    completedAt: new Date(),
  });
  await api.database.em().execute("insert into lane (webhook_id, due_at) values (?, 'infinity')", [webhookId]);
  const { delivery } = await clients.deliveries.retryDelivery({ id });
  expect(delivery).toMatchObject({ status: DeliveryStatus.SCHEDULED, statusReason: "" });
  expect(delivery?.completeTime).toBeUndefined();
  expect(await stored(id)).toMatchObject({ manualRetry: "ONCE" });
  expect(await laneDueIn()).toBeLessThanOrEqual(0);
  await clients.deliveries.retryDelivery({ id });
  expect(await stored(id)).toMatchObject({ manualRetry: "ONCE" });
});

it("a retry is refused while the webhook is not active, and once the event is no longer kept", async () => {
  const id = await record({ status: "EXHAUSTED" });
  const set = (status: "PAUSED" | "UNVERIFIED" | "ACTIVE") =>
    api.database.em().nativeUpdate(WebhookEntity, { id: webhookId }, { status });
  await set("PAUSED");
  const paused = await errorOf(clients.deliveries.retryDelivery({ id }));
  expect(paused).toMatchObject({ reason: "WEBHOOK_NOT_ACTIVE", code: Code.FailedPrecondition });
  expect(paused.message).toContain("resume it");
  await set("UNVERIFIED");
  expect((await errorOf(clients.deliveries.retryDelivery({ id }))).message).toContain("verify it");
  await set("ACTIVE");
  await api.database.em().nativeDelete(EventEntity, { organizationId });
  const expired = await errorOf(clients.deliveries.retryDelivery({ id }));
  expect(expired).toMatchObject({ reason: "PAYLOAD_EXPIRED", code: Code.FailedPrecondition });
  expect(await stored(id)).toMatchObject({ status: "EXHAUSTED" });
});

it("a scheduled delivery is cancelled, once and for all; a finished one cannot be", async () => {
  const id = await record({ status: "SCHEDULED", nextAttemptAt: new Date(), manualRetry: "NOW" });
  const { delivery } = await clients.deliveries.cancelDelivery({ id });
  expect(delivery).toMatchObject({ status: DeliveryStatus.CANCELLED, statusReason: "it was cancelled by request" });
  expect(delivery?.completeTime).toBeDefined();
  expect(delivery?.nextAttemptTime).toBeUndefined();
  expect(await stored(id)).toMatchObject({ manualRetry: null });
  expect((await clients.deliveries.cancelDelivery({ id })).delivery).toEqual(delivery);
  const done = await record({ status: "DELIVERED" });
  const refused = await errorOf(clients.deliveries.cancelDelivery({ id: done }));
  expect(refused).toMatchObject({ reason: "DELIVERY_NOT_SCHEDULED", code: Code.FailedPrecondition });
});

async function record(values: Partial<Delivery>): Promise<string> {
  const id = newUuid(api.dependencies.ids);
  const event = newUuid(api.dependencies.ids);
  const now = new Date();
  await api.database.em().insert(EventEntity, {
    id: event,
    organizationId,
    externalId: null,
    type: "a",
    dataJson: "{}",
    source: null,
    subject: null,
    projectId: null,
    orderingKey: null,
    traceparent: null,
    occurredAt: now,
    receivedAt: now,
  });
  await api.database.em().insert(DeliveryEntity, {
    id,
    organizationId,
    webhookId,
    eventId: event,
    eventType: "a",
    status: "SCHEDULED",
    statusReason: "",
    attemptCount: 0,
    nextAttemptAt: null,
    manualRetry: null,
    lastStatusCode: 0,
    createdAt: now,
    completedAt: null,
    ...values,
  });
  return id;
}

async function stored(id: string): Promise<Delivery> {
  return await api.database.em().findOneOrFail(DeliveryEntity, { id });
}

/** Seconds until the webhook's lane is due. */
async function laneDueIn(): Promise<number> {
  const [lane] = await api.database.sql.query<{ seconds: number }>(
    { name: "", text: "select extract(epoch from due_at - now())::float8 as seconds from lane where webhook_id = $1" },
    [webhookId],
  );
  return lane!.seconds;
}
