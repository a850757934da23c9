import { afterAll, beforeAll, expect, it } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { parseId } from "../../src/domain/ids.ts";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { writeHealth } from "../../src/store/sql/write-health.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { insertFinishedDeliveries, insertPastEvents, scheduledIds } from "../support/event-history.ts";
import { operator } from "../support/principals.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";

const dayMs = 24 * 60 * 60_000;

let database: Database;
let broker: Broker;
let api: TestApi;
let organizationId: string;
beforeAll(async () => {
  database = await openEmbedded(undefined);
  await database.migrate();
  broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  api = await startApi({ database, broker });
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
});
afterAll(async () => {
  await api.close();
  await broker.close();
  await database.close();
});

it("recoveries are carried out on the embedded database", async () => {
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:19999/" });
  const receivedAt = Date.now() - 60_000;
  const failed = await insertPastEvents(database, { organizationId, count: 600, receivedAt });
  await insertFinishedDeliveries(database, failed, {
    organizationId,
    webhookId: webhook.id,
    status: "EXHAUSTED",
    attemptCount: 10,
  });
  await insertPastEvents(database, { organizationId, count: 600, receivedAt });
  const since = new Date(receivedAt - 1_000);
  const until = new Date(receivedAt + 10_000);
  api.useCases.recoveryWorker.start();
  for (const scope of ["FAILED", "NEVER_SENT"] as const) {
    const { id } = await api.useCases.recoveries.start(operator, {
      id: webhook.id,
      organizationId,
      scope,
      since,
      until,
    });
    const ended = await waitFor(async () => {
      const recovery = await api.useCases.recoveries.get(operator, { id, organizationId });
      return recovery.status === "COMPLETED" && recovery;
    });
    expect(ended.resent).toBe(600);
  }
  await api.useCases.recoveryWorker.stop();
  expect(await scheduledIds(database, webhook.id)).toHaveLength(1_200);
  expect(api.backgroundFailures).toEqual([]);
});

it("webhooks that only fail are disabled there, and what tells of it reaches the broker", async () => {
  const activeSince = new Date(Date.now() - 10 * dayMs);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:19999/", activeSince });
  const failure = { webhookId: webhook.id, lastSuccessAt: null, failuresBefore: 0, failures: 1, failingSince: null };
  for (const daysAgo of [7, 1]) {
    const at = Date.now() - daysAgo * dayMs;
    const counts = { lastError: "HTTP 500", attempts: 1, failedAttempts: 1, exhausted: 0 };
    await writeHealth(database.sql, [{ ...failure, ...counts, lastFailureAt: at, failingSince: at }]);
  }
  const subjects: string[] = [];
  const consumer = await broker.consume(
    { maxBatch: 10, maxUnacknowledged: 10, maxUnacknowledgedBytes: 1e8 },
    (batch) => {
      for (const message of batch) {
        subjects.push(message.subject);
        message.ack();
      }
    },
  );
  api.useCases.failingWebhookWorker.start();
  api.useCases.operationalEventRelay.start();
  await waitFor(() => subjects.length > 0, { what: "the event" });
  expect(subjects).toEqual([`tellwire.events.${organizationId}.webhook.disabled`]);
  const { webhook: disabled } = await api.useCases.webhooks.get(operator, { id: webhook.id, organizationId });
  expect(disabled.status).toBe("DISABLED");
  await consumer.stop();
  expect(api.backgroundFailures).toEqual([]);
});
