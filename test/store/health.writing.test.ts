import { expect, test } from "vitest";
import { noChange } from "../../src/delivery/health-writer.ts";
import { publicId } from "../../src/domain/ids.ts";
import { RECOVERED_AFTER_FAILURES } from "../../src/domain/operational-event.ts";
import type { Database } from "../../src/store/database.ts";
import { WebhookHealthEntity } from "../../src/store/entities/webhook-health.ts";
import { type HealthChange, writeHealth } from "../../src/store/sql/write-health.ts";
import { copyWebhook } from "../support/copy-webhook.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;
let organizationId: string;

withOwnDatabase({ maxConnections: 4 }, async (own) => {
  database = own;
  organizationId = await addOrganization(database);
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

test("a success from before a failure that another process has told of counts, and ends nothing", async () => {
  const webhookId = await newWebhook();
  await writeHealth(database.sql, [failure(webhookId, RECOVERED_AFTER_FAILURES, at)]);
  const told = await recoveredEvents();
  await writeHealth(database.sql, [success(webhookId, at - 1)]);
  expect(await healthOf(webhookId)).toMatchObject({
    lastSuccessAt: new Date(at - 1),
    consecutiveFailures: RECOVERED_AFTER_FAILURES,
    failingSince: new Date(at),
    totalAttempts: RECOVERED_AFTER_FAILURES + 1,
  });
  expect(await recoveredEvents()).toEqual(told);
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

test("two processes that write a missing row at the same time both add to it", async () => {
  const webhookIds = await Promise.all(Array.from({ length: 5 }, newWebhook));
  await query("delete from webhook_health where webhook_id = any($1::uuid[])", [webhookIds]);
  const changes = webhookIds.map((id) => success(id, at));
  await Promise.all([writeHealth(database.sql, changes), writeHealth(database.sql, changes.toReversed())]);
  for (const id of webhookIds) expect(await healthOf(id)).toMatchObject({ totalAttempts: 2 });
});

test("processes that write the same webhooks at once, in whatever order, wait for each other in no ring, and lose nothing", async () => {
  const { webhook } = await addWebhook(database, organizationId, { url: "https://example.com/hook" });
  const changes = (await copyWebhook(database, webhook.id, 500)).map((id) => success(id, at));
  const rounds = 10;
  const write = async (ordered: readonly HealthChange[]) => {
    for (let round = 0; round < rounds; round++) await writeHealth(database.sql, ordered);
  };
  await Promise.all([write(changes), write(changes.toReversed()), write(changes)]);
  const attempts = await query<{ total_attempts: string }>(
    "select distinct total_attempts::text from webhook_health where webhook_id = any($1::uuid[])",
    [changes.map(({ webhookId }) => webhookId)],
  );
  expect(attempts).toEqual([{ total_attempts: `${3 * rounds}` }]);
});

test("a change of a webhook that is under way holds up no writing", async () => {
  const webhookId = await newWebhook();
  await database.sql.transaction(async (transaction) => {
    await transaction.query({ name: "", text: "select from webhook where id = $1 for update" }, [webhookId]);
    await writeHealth(database.sql, [success(webhookId, at)]);
  });
  expect(await healthOf(webhookId)).toMatchObject({ totalAttempts: 1 });
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

test("a webhook without a row, as an earlier version creates it, gets one with what happened to it, and nothing is counted twice", async () => {
  const [missing, deleted, recovering, usual] = await Promise.all([
    newWebhook(),
    newWebhook(),
    newWebhook(),
    newWebhook(),
  ]);
  await writeHealth(database.sql, [failure(recovering, RECOVERED_AFTER_FAILURES, at)]);
  await query("delete from webhook_health where webhook_id = $1", [missing]);
  await remove(deleted);
  const before = (await recoveredEvents()).length;
  for (const time of [at + 1_000, at + 2_000]) {
    await writeHealth(
      database.sql,
      [missing, deleted, recovering, usual].map((webhookId) => success(webhookId, time)),
    );
  }
  expect(await healthOf(missing)).toMatchObject({ totalAttempts: 2, lastSuccessAt: new Date(at + 2_000) });
  expect(await healthOf(usual)).toMatchObject({ totalAttempts: 2, lastSuccessAt: new Date(at + 2_000) });
  expect(await healthOf(recovering)).toMatchObject({ totalAttempts: RECOVERED_AFTER_FAILURES + 2, failingSince: null });
  expect(await healthOf(deleted)).toBeNull();
  expect(await recoveredEvents()).toHaveLength(before + 1);
});

async function newWebhook(): Promise<string> {
  const { webhook } = await addWebhook(database, organizationId, { url: "https://example.com/hook" });
  return webhook.id;
}

async function remove(webhookId: string): Promise<void> {
  await query("delete from webhook where id = $1", [webhookId]);
}

async function query<Row>(text: string, parameters: readonly unknown[]): Promise<Row[]> {
  return await database.sql.query<Row>({ name: "", text }, parameters);
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
