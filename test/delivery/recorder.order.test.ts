import { expect, test } from "vitest";
import { createRecorder, type Outcome, type Recorder } from "../../src/delivery/recorder.ts";
import { deliveryIdOf } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import type { Sql } from "../../src/store/sql.ts";
import { attemptOf, scheduledRecord } from "../store/store-under-test.ts";
import { addOrganization, addWebhook, deliveriesOf, newEvent } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;

withOwnDatabase({ maxConnections: 4 }, (own) => {
  database = own;
});

test("a batch does not wait for one that the database is slow with, but what concerns one delivery is written in its order", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  const release = Promise.withResolvers<void>();
  let transactions = 0;
  const sql: Sql = {
    ...database.sql,
    async transaction(work) {
      transactions += 1;
      if (transactions === 1) await release.promise;
      return await database.sql.transaction(work);
    },
  };
  const recorder = recorderOn(sql);
  const recorded: string[] = [];
  const record = (outcome: Outcome, name: string) => recorder.record(outcome, () => void recorded.push(name));

  const createdAt = Date.now();
  const eventId = newEvent(organizationId).id;
  const id = deliveryIdOf(eventId, createdAt, webhook.id);
  const place = { organizationId, webhookId: webhook.id, eventType: "order.paid", createdAt };
  const rest = { statusReason: "", orderingKey: null, sequence: null, ...place };
  const waiting = { status: "SCHEDULED" as const, attemptCount: 0, lastStatusCode: 0, completedAt: null };
  const done = { status: "DELIVERED" as const, attemptCount: 1, lastStatusCode: 204, nextAttemptAt: null };
  const attempt = { number: 1, trigger: "SCHEDULE" as const, startedAt: createdAt, latencyMs: 1, statusCode: 204 };
  const answer = { error: null, errorMessage: "", responseBody: Buffer.alloc(0), url: webhook.url };
  const delivered = (deliveryId: string, ofEvent: string): Outcome => ({
    delivery: { ...rest, ...done, id: deliveryId, eventId: ofEvent, completedAt: createdAt },
    attempt: { ...attempt, ...answer, id: newEvent(organizationId).id, deliveryId },
  });

  record({ delivery: { ...rest, ...waiting, id, eventId, nextAttemptAt: createdAt } }, "handed over");
  await waitFor(() => transactions === 1);
  record(delivered(id, eventId), "delivered");
  for (let other = 0; other < 200; other += 1) {
    const otherEvent = newEvent(organizationId).id;
    record(delivered(deliveryIdOf(otherEvent, createdAt, webhook.id), otherEvent), "other");
  }
  await waitFor(() => recorded.length >= 99, { what: "the batch beside the slow one" });
  expect(new Set(recorded)).toEqual(new Set(["other"]));

  release.resolve();
  await recorder.flush(60_000);
  expect(recorded.indexOf("handed over")).toBeLessThan(recorded.indexOf("delivered"));
  const deliveries = await deliveriesOf(database, webhook.id);
  expect(deliveries).toHaveLength(201);
  expect(deliveries.every(({ status }) => status === "DELIVERED")).toBe(true);
});

test("a database that does not answer counts as failing after two seconds, until it does", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  const release = Promise.withResolvers<void>();
  const sql: Sql = {
    ...database.sql,
    async transaction(work) {
      await release.promise;
      return await database.sql.transaction(work);
    },
  };
  const recorder = recorderOn(sql);
  const begunAt = performance.now();
  recorder.record({ delivery: scheduledRecord({ organizationId, webhookId: webhook.id }) }, () => {});
  expect(recorder.isFailing()).toBe(false);
  await waitFor(() => recorder.isFailing());
  expect(performance.now() - begunAt).toBeGreaterThan(1_900);
  release.resolve();
  await recorder.flush(60_000);
  expect(recorder.isFailing()).toBe(false);
});

test("responses fill the memory no further than a bound, whatever their number: then nothing more is sent until they are recorded", async () => {
  const release = Promise.withResolvers<void>();
  const taken = release.promise.then(() => new Set());
  const sql: Sql = { ...database.sql, transaction: () => taken as Promise<never> };
  const recorder = recorderOn(sql);
  const delivery = scheduledRecord({ organizationId: "", webhookId: "" });
  const attempt = attemptOf(delivery);
  const responseBody = Buffer.alloc(16 * 1024);
  for (let count = 0; count < 4_096; count += 1) {
    recorder.record({ delivery, attempt: { ...attempt, responseBody } }, () => {});
  }
  expect(recorder.isFailing()).toBe(false);
  recorder.record({ delivery, attempt: { ...attempt, responseBody } }, () => {});
  expect(recorder.isFailing()).toBe(true);
  release.resolve();
  await recorder.flush(10_000);
  expect(recorder.isFailing()).toBe(false);
});

test("a batch begins some time after the one before it, unless many outcomes wait, or one that an ordered delivery waits for", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  const outcome = (orderingKey: string | null): Outcome => ({
    delivery: { ...scheduledRecord({ organizationId, webhookId: webhook.id }), orderingKey },
  });

  const paced = recorderOn(database.sql, 300);
  const begunAt = performance.now();
  await new Promise<void>((resolve) => paced.record(outcome(null), () => resolve()));
  await new Promise<void>((resolve) => paced.record(outcome(null), () => resolve()));
  expect(performance.now() - begunAt).toBeGreaterThan(299);

  const slow = recorderOn(database.sql, 600_000);
  await new Promise<void>((resolve) => slow.record(outcome(null), () => resolve()));
  const waiting = new Promise<void>((resolve) => slow.record(outcome(null), () => resolve()));
  slow.record(outcome("a key"), () => {});
  await waiting;
  const many = Array.from({ length: 200 }, () => outcome(null));
  await Promise.all(many.map((one) => new Promise<void>((resolve) => slow.record(one, () => resolve()))));
});

test("what can wait is written some time later, or with the first one that cannot, and at once where nothing was written just before", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  const recorder = recorderOn(database.sql, 1, 300_000);
  const recorded: string[] = [];
  const record = (name: string, canWait: boolean) => {
    const delivery = scheduledRecord({ organizationId, webhookId: webhook.id });
    recorder.record({ delivery, canWait }, () => void recorded.push(name));
  };
  record("first", true);
  await waitFor(() => recorded.length === 1, { what: "the first one" });
  record("patient", true);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(recorded).toEqual(["first"]);
  record("impatient", false);
  await waitFor(() => recorded.length === 3, { what: "the others" });
  expect(recorded).toEqual(["first", "patient", "impatient"]);

  const brief = recorderOn(database.sql, 1, 200);
  const writeOne = () =>
    new Promise<void>((resolve) => {
      const delivery = scheduledRecord({ organizationId, webhookId: webhook.id });
      brief.record({ delivery, canWait: true }, () => resolve());
    });
  const begunAt = performance.now();
  await writeOne();
  await writeOne();
  expect(performance.now() - begunAt).toBeGreaterThan(199);
});

/** A recorder for a database that takes everything. */
function recorderOn(sql: Sql, paceMs = 1, patientPaceMs = paceMs): Recorder {
  const onRetry = (error: unknown) => expect.fail(String(error));
  const onCommit = () => {};
  return createRecorder({ sql, lingerMs: 1, paceMs, patientPaceMs, maxBatch: 500, maxWriting: 2, onCommit, onRetry });
}
