import { afterAll, beforeAll, expect, test } from "vitest";
import { noChange } from "../../src/delivery/health-writer.ts";
import { publicId } from "../../src/domain/ids.ts";
import { RECOVERED_AFTER_FAILURES } from "../../src/domain/operational-event.ts";
import { type Database, openPostgres } from "../../src/store/database.ts";
import { WebhookHealthEntity } from "../../src/store/entities/webhook-health.ts";
import { type HealthChange, writeHealth } from "../../src/store/sql/write-health.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

let testDatabase: TestDatabase;
let database: Database;
let organizationId: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openPostgres(testDatabase.url, { maxConnections: 4 });
  organizationId = await addOrganization(database);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const at = Date.UTC(2026, 4, 1, 12);

test("successes and failures of several writings add up, and a success sets the failures in a row to those after it", async () => {
  const [webhookId, neighbour] = [await newWebhook(), await newWebhook()];
  await writeHealth(database.sql, [failure(webhookId, 2, at), success(neighbour, at)]);
  expect(await healthOf(webhookId)).toMatchObject({
    lastSuccessAt: null,
    lastFailureAt: new Date(at),
    consecutiveFailures: 2,
    lastError: 'HTTP 500, "späte" 🐢 {,}',
    totalAttempts: 2,
    failedAttempts: 2,
    failingSince: new Date(at),
  });
  await writeHealth(database.sql, [failure(webhookId, 1, at + 1_000)]);
  expect(await healthOf(webhookId)).toMatchObject({ consecutiveFailures: 3, failingSince: new Date(at) });
  await writeHealth(database.sql, [success(webhookId, at + 2_000)]);
  expect(await healthOf(webhookId)).toMatchObject({
    lastSuccessAt: new Date(at + 2_000),
    lastFailureAt: new Date(at + 1_000),
    consecutiveFailures: 0,
    totalAttempts: 4,
    failedAttempts: 3,
    failingSince: null,
  });
  expect(await healthOf(neighbour)).toMatchObject({ lastSuccessAt: new Date(at), totalAttempts: 1, lastError: "" });
});

test("a webhook that was deleted takes nothing from the health of the others", async () => {
  const [deleted, left] = [await newWebhook(), await newWebhook()];
  await remove(deleted);
  await writeHealth(database.sql, [success(deleted, at), success(left, at)]);
  expect(await healthOf(deleted)).toBeNull();
  expect(await healthOf(left)).toMatchObject({ totalAttempts: 1 });
});

test("a webhook that is being deleted is waited for, and left out", async () => {
  const [deleted, left] = [await newWebhook(), await newWebhook()];
  let writing: Promise<void> | undefined;
  await database.sql.transaction(async (transaction) => {
    await transaction.query({ name: "", text: "delete from webhook where id = $1" }, [deleted]);
    writing = writeHealth(database.sql, [success(deleted, at), success(left, at)]);
    await waitFor(async () => (await waitingForLocks()) > 0);
  });
  await writing;
  expect(await healthOf(deleted)).toBeNull();
  expect(await healthOf(left)).toMatchObject({ totalAttempts: 1 });
});

test("who recovers after many failures is told of once, with its organization, whether they were written before or not", async () => {
  const [before, within, between, tooFew] = await Promise.all([newWebhook(), newWebhook(), newWebhook(), newWebhook()]);
  await writeHealth(database.sql, [
    failure(before, RECOVERED_AFTER_FAILURES, at),
    failure(between, RECOVERED_AFTER_FAILURES - 1, at),
    failure(tooFew, RECOVERED_AFTER_FAILURES - 1, at),
  ]);
  expect(await recoveredEvents()).toEqual([]);
  await writeHealth(database.sql, [
    success(before, at + 1_000),
    { ...success(within, at + 1_000), failuresBefore: RECOVERED_AFTER_FAILURES },
    { ...success(between, at + 1_000), failuresBefore: 1 },
    success(tooFew, at + 1_000),
  ]);
  const failures = { consecutive_failures: RECOVERED_AFTER_FAILURES };
  const since = { failing_since: new Date(at).toISOString() };
  const expected = [
    { webhook_id: publicId("webhook", before), ...failures, ...since },
    { webhook_id: publicId("webhook", within), ...failures },
    { webhook_id: publicId("webhook", between), ...failures, ...since },
  ];
  const told = await recoveredEvents();
  expect(told).toHaveLength(expected.length);
  expect(told).toEqual(expect.arrayContaining(expected));
  await writeHealth(database.sql, [success(before, at + 2_000)]);
  expect(await recoveredEvents()).toHaveLength(expected.length);
});

async function newWebhook(): Promise<string> {
  const { webhook } = await addWebhook(database, organizationId, { url: "https://example.com/hook" });
  return webhook.id;
}

async function remove(webhookId: string): Promise<void> {
  await database.sql.query({ name: "", text: "delete from webhook where id = $1" }, [webhookId]);
}

function healthOf(webhookId: string) {
  return database.em().findOne(WebhookHealthEntity, { webhookId });
}

async function recoveredEvents(): Promise<unknown[]> {
  const text = "select data_json from operational_event where organization_id = $1 and type = 'webhook.recovered'";
  const rows = await database.sql.query<{ data_json: string }>({ name: "", text }, [organizationId]);
  return rows.map(({ data_json }) => JSON.parse(data_json));
}

async function waitingForLocks(): Promise<number> {
  const text = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  return (await database.sql.query({ name: "", text }, [])).length;
}

function success(webhookId: string, time: number): HealthChange {
  return { ...noChange(webhookId), lastSuccessAt: time, attempts: 1 };
}

function failure(webhookId: string, failures: number, time: number): HealthChange {
  const counts = { failures, attempts: failures, failedAttempts: failures };
  return {
    ...noChange(webhookId),
    ...counts,
    lastFailureAt: time,
    failingSince: time,
    lastError: 'HTTP 500, "späte" 🐢 {,}',
  };
}
