import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { AttemptError, AttemptTrigger, DeliveryStatus } from "../../gen/tellwire/v1/delivery_pb.ts";
import { VerificationMethod } from "../../gen/tellwire/v1/webhook_pb.ts";
import { deliveryIdOf, newUuid, parseId, publicId } from "../../src/domain/ids.ts";
import { AttemptEntity } from "../../src/store/entities/attempt.ts";
import { DeliveryEntity } from "../../src/store/entities/delivery.ts";
import { EventEntity } from "../../src/store/entities/event.ts";
import { ScheduledDeliveryEntity } from "../../src/store/entities/scheduled-delivery.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import { readDelivery, type StoredDelivery } from "../../src/store/sql/stored-deliveries.ts";
import type { AttemptRecord } from "../../src/store/sql/write-attempts.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
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
  for (const [number, error] of [
    [2, null],
    [1, "TIMEOUT"],
  ] as const) {
    await insertAttempt(id, number, error);
  }
  const { delivery } = await clients.deliveries.getDelivery({ id });
  expect(delivery).toMatchObject({ status: DeliveryStatus.EXHAUSTED, statusReason: "all 2 attempts failed" });
  expect(delivery?.attempts).toMatchObject([
    { number: 1, error: AttemptError.TIMEOUT, trigger: AttemptTrigger.SCHEDULE, latency: { seconds: 1n } },
    { number: 2, error: AttemptError.UNSPECIFIED, responseBody: "hé\ufffd" },
  ]);
});

it("a delivery that arrived at once is shown with its attempt, also after it was retried", async () => {
  const { attempt, deliveryId } = await recordArrived();
  const shown = {
    id: publicId("attempt", attempt.id),
    number: 1,
    trigger: AttemptTrigger.SCHEDULE,
    startTime: timestampFromMs(attempt.startedAt),
    latency: { seconds: 1n, nanos: 250_000_000 },
    statusCode: 202,
    error: AttemptError.UNSPECIFIED,
    errorMessage: "",
    responseBody: "hé\ufffd",
    url: "https://example.com/hook",
  };
  const { delivery } = await clients.deliveries.getDelivery({ id: deliveryId });
  expect(delivery).toMatchObject({ status: DeliveryStatus.DELIVERED, attemptCount: 1, attempts: [shown] });
  const retried = await clients.deliveries.retryDelivery({ id: deliveryId });
  expect(retried.delivery?.status).toBe(DeliveryStatus.SCHEDULED);
  const again = await clients.deliveries.getDelivery({ id: deliveryId });
  expect(again.delivery).toMatchObject({ status: DeliveryStatus.SCHEDULED, attempts: [shown] });
});

it("deliveries are listed newest first by webhook, event, status and time, page by page without loss within a millisecond", async () => {
  const ids: string[] = [];
  const createdAt = new Date();
  for (let index = 0; index < 7; index += 1) {
    ids.push(await record({ status: index % 2 === 0 ? "DELIVERED" : "SCHEDULED", createdAt }));
  }
  const expected = ids
    .toSorted()
    .reverse()
    .map((id) => publicId("delivery", id));
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
  expect(await list({ createdAfter: timestampFromMs(createdAt.getTime()) })).toBe(7);
  expect(await list({ createdAfter: timestampFromMs(createdAt.getTime() + 1) })).toBe(0);
  expect(await list({ createdBefore: timestampFromMs(createdAt.getTime() + 1) })).toBe(7);
  expect(await list({ createdBefore: timestampFromMs(createdAt.getTime()) })).toBe(0);
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

it("the attempts of a delivery that was made up of another day's event are found, too", async () => {
  const createdAt = new Date(Date.now() - 86_400_000);
  const id = await record({ status: "DELIVERED", createdAt, attemptCount: 1 });
  await insertAttempt(id, 1);
  expect((await clients.deliveries.getDelivery({ id })).delivery?.attempts).toMatchObject([{ number: 1 }]);
});

it("an event that is no longer kept has no deliveries to list, which are listed without it all the same", async () => {
  const id = await record({ status: "DELIVERED" });
  const { delivery } = await clients.deliveries.getDelivery({ id });
  await api.database.em().nativeDelete(EventEntity, { organizationId });
  expect((await clients.deliveries.listDeliveries({ eventId: delivery!.eventId })).deliveries).toEqual([]);
  expect((await clients.deliveries.listDeliveries({})).deliveries).toHaveLength(1);
});

it("a delivery that waits for its turn goes on waiting when it is retried, and gets its turn when the one before it is cancelled", async () => {
  const first = await record({ orderingKey: "k", sequence: 1, nextAttemptAt: new Date(Date.now() + 3_600_000) });
  const second = await record({ orderingKey: "k", sequence: 2 });
  await api.database.em().execute("update scheduled_delivery set next_attempt_at = 'infinity' where id = ?", [second]);
  await api.database
    .em()
    .execute("insert into lane (webhook_id, due_at, ordered_through) values (?, 'infinity', 2)", [webhookId]);
  expect((await clients.deliveries.getDelivery({ id: second })).delivery?.nextAttemptTime).toBeUndefined();
  await clients.deliveries.retryDelivery({ id: second });
  expect(await stored(second)).toMatchObject({ nextAttemptAt: null, manualRetry: null });
  await clients.deliveries.cancelDelivery({ id: first });
  expect((await stored(second))?.nextAttemptAt?.getTime()).toBeLessThanOrEqual(Date.now() + 1);
  expect(await laneDueIn()).toBeLessThanOrEqual(0);
});

it("of a retry and a cancellation at the same time, each sees what the other did", async () => {
  for (let round = 0; round < 5; round += 1) {
    const id = await record({ status: "EXHAUSTED" });
    const calls = [clients.deliveries.retryDelivery({ id }), clients.deliveries.cancelDelivery({ id })];
    const [, cancelled] = await Promise.allSettled(calls);
    const rows = await api.database
      .em()
      .execute("select id from scheduled_delivery where id = ? union all select id from delivery where id = ?", [
        id,
        id,
      ]);
    expect(rows).toHaveLength(1);
    expect((await stored(id))?.status).toBe(cancelled?.status === "fulfilled" ? "CANCELLED" : "SCHEDULED");
  }
});

async function record(values: Partial<StoredDelivery> & { sequence?: number }): Promise<string> {
  const { status = "SCHEDULED", createdAt = new Date(), nextAttemptAt, completedAt, ...given } = values;
  const event = newUuid(api.dependencies.ids);
  const id = deliveryIdOf(event, createdAt.getTime(), webhookId);
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
    occurredAt: createdAt,
    receivedAt: createdAt,
  });
  const { statusReason = "", manualRetry = null, orderingKey = null, sequence = null, ...counts } = given;
  const identity = { id, organizationId, webhookId, eventId: event, eventType: "a", createdAt };
  const row = { ...identity, attemptCount: 0, lastStatusCode: 0, ...counts };
  if (status === "SCHEDULED") {
    const due = { nextAttemptAt: nextAttemptAt ?? new Date(), manualRetry, orderingKey, sequence };
    await api.database.em().insert(ScheduledDeliveryEntity, { ...row, ...due });
  } else {
    const end = { status, statusReason, completedAt: completedAt ?? new Date() };
    await api.database.em().insert(DeliveryEntity, { ...row, ...end });
  }
  return id;
}

/** A delivery that arrived at its first attempt, as the engine records it. */
async function recordArrived(): Promise<{ deliveryId: string; attempt: AttemptRecord }> {
  const deliveryId = await record({});
  const { createdAt, ...waiting } = (await stored(deliveryId))!;
  await api.database.em().nativeDelete(ScheduledDeliveryEntity, { id: deliveryId });
  const now = Date.now();
  const attempt: AttemptRecord = {
    id: newUuid(api.dependencies.ids),
    deliveryId,
    number: 1,
    trigger: "SCHEDULE",
    startedAt: now,
    latencyMs: 1250,
    statusCode: 202,
    error: null,
    errorMessage: "",
    responseBody: Buffer.from([0x68, 0xc3, 0xa9, 0xff]),
    url: "https://example.com/hook",
  };
  const delivery: DeliveryRecord = {
    ...waiting,
    status: "DELIVERED",
    attemptCount: 1,
    nextAttemptAt: null,
    lastStatusCode: 202,
    createdAt: createdAt.getTime(),
    completedAt: now,
    sequence: null,
  };
  await recordOutcomes(api.database.sql, { deliveries: [delivery], attempts: [attempt], disablings: [] });
  return { deliveryId, attempt };
}

async function insertAttempt(deliveryId: string, number: number, error: "TIMEOUT" | null = null): Promise<void> {
  await api.database.em().insert(AttemptEntity, {
    id: newUuid(api.dependencies.ids),
    deliveryId,
    number,
    trigger: "SCHEDULE",
    startedAt: new Date(),
    latencyMs: 1500,
    statusCode: number,
    error,
    errorMessage: "e",
    responseBody: Buffer.from([0x68, 0xc3, 0xa9, 0xff]),
    url: "https://example.com/hook",
  });
}

async function stored(id: string): Promise<StoredDelivery | undefined> {
  return await readDelivery(api.database.sql, { id, organizationId });
}

/** Seconds until the webhook's lane is due. */
async function laneDueIn(): Promise<number> {
  const [lane] = await api.database.sql.query<{ seconds: number }>(
    { name: "", text: "select extract(epoch from due_at - now())::float8 as seconds from lane where webhook_id = $1" },
    [webhookId],
  );
  return lane!.seconds;
}
