import { afterAll, beforeAll, expect, test } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { insertFinishedDeliveries, insertPastEvents } from "../support/event-history.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { createRestClient, type RestClient } from "../support/rest-client.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

// More than the recovery makes due at a time: it waits for the receiver in between.
const count = 7_000;
/** So many requests the receiver answers before the kill. It holds the others up, so that the recovery cannot end before, however slow the test is. */
const beforeKill = 500;
const kill = Promise.withResolvers<void>();
const timeoutMs = 240_000;

let testDatabase: TestDatabase;
let database: Database;
let receiver: Receiver;
const processes: TellwireProcess[] = [];
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 4 });
  receiver = await startReceiver(async (request, index) => {
    if (index >= beforeKill) await kill.promise;
    return echoChallenge(request);
  });
});
afterAll(async () => {
  await Promise.all(processes.map((tellwire) => tellwire.kill()));
  await receiver.close();
  await database.close();
  await testDatabase.drop();
});

test("a recovery whose process is killed goes on after a restart: everything is sent, and its counts are right", {
  timeout: 2 * timeoutMs,
}, async () => {
  // A delivery that is sent again has one attempt: none is to fail because this machine is busy.
  const patience = { TELLWIRE_DELIVERY_TIMEOUT_MS: "60000" };
  const settings = tellwireSettings({ TELLWIRE_DATABASE_URL: testDatabase.url, ...patience });
  const start = async (): Promise<{ tellwire: TellwireProcess; rest: RestClient }> => {
    const tellwire = await startTellwire(settings);
    processes.push(tellwire);
    return { tellwire, rest: createRestClient(tellwire.httpUrl, tellwire.operatorKey) };
  };
  const first = await start();
  const webhook = await failedWebhook(first.rest);

  const path = `/v1/webhooks/${webhook.id}:recover`;
  const since = new Date(Date.now() - 60 * 60_000).toISOString();
  const { id } = await first.rest<{ id: string }>("POST", path, { scope: "RECOVERY_SCOPE_FAILED", sinceTime: since });
  const recovery = parseId("recovery", id) ?? "";
  await waitFor(async () => (await progressOf(recovery)).examined > 0, { what: "the first step" });
  await first.tellwire.kill();
  const killed = await progressOf(recovery);
  expect(killed).toMatchObject({ status: "RUNNING", resent: killed.examined });
  expect(killed.examined).toBeLessThan(count);
  kill.resolve();

  await start();
  const ended = await waitFor(
    async () => {
      const progress = await progressOf(recovery);
      return progress.status !== "RUNNING" && progress;
    },
    { timeoutMs, what: "the end of the recovery" },
  );
  expect(ended).toEqual({ status: "COMPLETED", examined: count, resent: count });
  await waitFor(async () => (await deliveredOf(webhook.id)) === count, { timeoutMs, what: "every delivery" });
  const ids = receiver.requests.flatMap(({ headers }) => headers["webhook-id"] ?? []);
  expect(new Set(ids).size).toBe(count);
});

/** An active webhook with that many deliveries that were given up. */
async function failedWebhook(rest: RestClient): Promise<{ id: string }> {
  const { id: organizationId } = await rest<{ id: string }>("POST", "/v1/organizations", { name: "Crash" });
  const input = { organizationId, url: receiver.url, eventTypes: ["*"] };
  const { webhook } = await rest<{ webhook: { id: string } }>("POST", "/v1/webhooks", input);
  await waitFor(async () => {
    const { status } = await rest<{ status: string }>("GET", `/v1/webhooks/${webhook.id}`);
    return status === "WEBHOOK_STATUS_ACTIVE";
  });
  const owner = { organizationId: parseId("organization", organizationId) ?? "" };
  const events = await insertPastEvents(database, { ...owner, count, receivedAt: Date.now() - 60_000 });
  await insertFinishedDeliveries(database, events, {
    ...owner,
    webhookId: parseId("webhook", webhook.id) ?? "",
    status: "EXHAUSTED",
    attemptCount: 3,
  });
  return webhook;
}

async function progressOf(id: string): Promise<{ status: string; examined: number; resent: number }> {
  const text = "select status, examined::integer as examined, resent::integer as resent from recovery where id = $1";
  const [row] = await database.sql.query<{ status: string; examined: number; resent: number }>({ name: "", text }, [
    id,
  ]);
  return row!;
}

async function deliveredOf(webhookId: string): Promise<number> {
  const text = "select count(*)::integer as count from delivery where webhook_id = $1 and status = 'DELIVERED'";
  const [row] = await database.sql.query<{ count: number }>({ name: "", text }, [parseId("webhook", webhookId)]);
  return row!.count;
}
