import { afterAll, beforeAll, expect, it } from "vitest";
import { newUuid, parseId } from "../../src/domain/ids.ts";
import { claimLanes, releaseLane } from "../../src/store/sql/lanes.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import { createAuditTrail } from "../../src/usecases/audit-trail.ts";
import { createTransact } from "../../src/usecases/changes.ts";
import { createResumeWebhook } from "../../src/usecases/resume-webhook.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook, testIds } from "../support/engine.ts";
import { operator } from "../support/principals.ts";
import { startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
let organizationId: string;
beforeAll(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
});
afterAll(() => api.close());

/** The database counts microseconds, which the clock here cuts off. */
const soon = () => Date.now() + 1;

it("a delivery that is scheduled while its webhook is being deleted has a lane, in which it is cancelled", async () => {
  const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/" });
  await record(scheduled(webhook.id));
  const deletion = Promise.withResolvers<unknown>();
  await api.database.sql.transaction(async (recorder) => {
    await recordOutcomes(recorder, { deliveries: [scheduled(webhook.id)], attempts: [], disablings: [] });
    // It has cancelled what it can see, and waits for the lane.
    deletion.resolve(api.useCases.webhooks.delete(operator, { id: webhook.id, organizationId, etag: "" }));
    await waitFor(async () => (await lockWaits()) > 0);
  });
  await deletion.promise;
  expect(await dueAt(webhook.id)).toBeLessThanOrEqual(soon());
});

it("a delivery that is scheduled as the first while its webhook is being resumed is not left in a lane that rests", async () => {
  const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", status: "PAUSED" });
  let working: Promise<void> | undefined;
  const transact = createTransact(api.database, api.dependencies.changes);
  const resume = createResumeWebhook({
    now: Date.now,
    clearWaiting: async () => {},
    audit: createAuditTrail(api.dependencies.ids),
    transact: (work) =>
      transact(async (em, marks) => {
        const resumed = await work(em, marks);
        // Everything is written, and nothing committed: for the others, the webhook is paused still.
        working = record(scheduled(webhook.id)).then(() => workOnce(webhook.id));
        await waitFor(async () => (await lockWaits()) > 0 || (await dueAt(webhook.id)) === Number.POSITIVE_INFINITY);
        return resumed;
      }),
  });
  await resume(operator, { id: webhook.id, organizationId });
  await working;
  expect(await dueAt(webhook.id)).toBeLessThan(Number.POSITIVE_INFINITY);
});

it("what waits for a webhook whose verification fails, and switches it off, is looked at, to be cancelled", async () => {
  const refusing = await startReceiver(() => ({ status: 500 }));
  const { webhook } = await addWebhook(api.database, organizationId, {
    url: refusing.url,
    format: "LAYER_1_0",
    status: "UNVERIFIED",
  });
  await record(scheduled(webhook.id));
  await workOnce(webhook.id);
  expect(await dueAt(webhook.id)).toBe(Number.POSITIVE_INFINITY);
  const { record: after } = await api.useCases.webhooks.verify(operator, { id: webhook.id, organizationId });
  expect(after.webhook.status).toBe("DISABLED");
  expect(await dueAt(webhook.id)).toBeLessThanOrEqual(soon());
  await refusing.close();
});

function scheduled(webhookId: string): DeliveryRecord {
  const now = Date.now();
  return {
    id: newUuid(testIds),
    organizationId,
    webhookId,
    eventId: newUuid(testIds),
    eventType: "order.paid",
    status: "SCHEDULED",
    statusReason: "",
    attemptCount: 0,
    nextAttemptAt: now,
    lastStatusCode: 0,
    createdAt: now,
    completedAt: null,
    orderingKey: null,
    sequence: null,
  };
}

async function record(delivery: DeliveryRecord): Promise<void> {
  await recordOutcomes(api.database.sql, { deliveries: [delivery], attempts: [], disablings: [] });
}

/** What a worker does with a lane whose webhook is not active: it gives it back at once, to rest. */
async function workOnce(webhookId: string): Promise<void> {
  const owner = newUuid(testIds);
  const lanes = await claimLanes(api.database.sql, { owner, now: soon(), limit: 100, leaseMs: 60_000 });
  const lane = lanes.find((claimed) => claimed.webhookId === webhookId)!;
  const { fence, status, openUntil, opened, rateTime } = lane;
  const hold = status !== "ACTIVE";
  await releaseLane(api.database.sql, {
    webhookId,
    owner,
    fence,
    hold,
    notBefore: 0,
    breaker: { openUntil, opened },
    rateTime,
  });
}

/** How many transactions wait for another one. */
async function lockWaits(): Promise<number> {
  const text = `select count(*)::int as waiting from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`;
  const [row] = await api.database.sql.query<{ waiting: number }>({ name: "", text }, []);
  return row!.waiting;
}

/** In milliseconds since the epoch; undefined: there is no lane. */
async function dueAt(webhookId: string): Promise<number | undefined> {
  const text = `select (extract(epoch from due_at) * 1000)::float8 as "dueAt" from lane where webhook_id = $1`;
  const [row] = await api.database.sql.query<{ dueAt: number }>({ name: "", text }, [webhookId]);
  return row?.dueAt;
}
