import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, openPostgres } from "../../src/store/database.ts";
import { cancelWaiting, claimLanes, dueDeliveries, releaseLane, renewLanes } from "../../src/store/sql/lanes.ts";
import { type DeliveryRecord, recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let testDatabase: TestDatabase;
let database: Database;
let organizationId: string;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openPostgres(testDatabase.url, { maxConnections: 8 });
  organizationId = await addOrganization(database);
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const newWebhook = async (status: "ACTIVE" | "PAUSED" | "DISABLED" = "ACTIVE") =>
  (await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/", status })).webhook.id;

function scheduled(webhookId: string, nextAttemptAt: number): DeliveryRecord {
  return {
    id: randomUUID(),
    organizationId,
    webhookId,
    eventId: randomUUID(),
    eventType: "order.paid",
    status: "SCHEDULED",
    statusReason: "",
    attemptCount: 0,
    nextAttemptAt,
    lastStatusCode: 0,
    createdAt: nextAttemptAt,
    completedAt: null,
  };
}

const schedule = (...deliveries: DeliveryRecord[]) =>
  recordOutcomes(database.sql, { deliveries, attempts: [], disablings: [] });

/** The database counts microseconds, which the clock here cuts off. */
const soon = () => Date.now() + 1;

/** Other tests' lanes may be due too: they are given back. */
async function claim(webhookId: string, now: number, leaseMs = 60_000) {
  const owner = randomUUID();
  const lanes = await claimLanes(database.sql, { owner, now, limit: 100, leaseMs });
  const lane = lanes.find((candidate) => candidate.webhookId === webhookId);
  return lane === undefined ? undefined : { ...lane, owner };
}

function held(claimed: Awaited<ReturnType<typeof claim>>) {
  if (claimed === undefined) throw new Error("nobody got the lane");
  return claimed;
}

async function laneRow(webhookId: string): Promise<{ dueAt: number } | undefined> {
  const text = `select (extract(epoch from due_at) * 1000)::float8 as "dueAt" from lane where webhook_id = $1`;
  const [row] = await database.sql.query<{ dueAt: number }>({ name: "lane-row", text }, [webhookId]);
  return row;
}

describe("lanes", () => {
  test("a lane is due when the first of its deliveries is, and only one process gets it", async () => {
    const webhookId = await newWebhook();
    await schedule(scheduled(webhookId, 5_000), scheduled(webhookId, 3_000));
    expect(await claim(webhookId, 2_999)).toBeUndefined();
    expect(await claim(webhookId, 3_000)).toMatchObject({ webhookId, organizationId, status: "ACTIVE" });
    expect(await claim(webhookId, 9_000)).toBeUndefined();
    const due = await dueDeliveries(database.sql, { webhookId, now: 4_000, limit: 10 });
    expect(due.map(({ dataJson }) => dataJson)).toEqual([null]);
  });

  test("a lane that is given back is due with what remains, and gone when nothing does", async () => {
    const webhookId = await newWebhook();
    const delivery = scheduled(webhookId, 1_000);
    await schedule(delivery, scheduled(webhookId, 8_000));
    const first = await claim(webhookId, 1_000);
    await schedule({ ...delivery, status: "DELIVERED", attemptCount: 1, nextAttemptAt: null, completedAt: 2_000 });
    expect(await releaseLane(database.sql, { ...held(first), hold: false })).toBe(8_000);
    const second = await claim(webhookId, 8_000);
    await cancelWaiting(database.sql, { webhookId, reason: "gone", now: 9_000 });
    expect(await releaseLane(database.sql, { ...held(second), hold: false })).toBeUndefined();
    expect(await laneRow(webhookId)).toBeUndefined();
  });

  test("who lost the lease can neither renew nor give back the lane", async () => {
    const webhookId = await newWebhook();
    await schedule(scheduled(webhookId, 1_000));
    const slow = await claim(webhookId, 1_000, 0);
    const next = await claim(webhookId, 1_000);
    expect(next?.fence).toBe((slow?.fence ?? 0) + 1);
    const renewal = { owner: slow?.owner ?? "", webhookIds: [webhookId], leaseMs: 1_000 };
    expect(await renewLanes(database.sql, renewal)).toEqual(new Set());
    await releaseLane(database.sql, { ...held(slow), hold: false });
    expect(await claim(webhookId, 1_000)).toBeUndefined();
  });

  test("a paused webhook's lane rests, and an active one's does not, whatever the worker thought", async () => {
    const [paused, active] = [await newWebhook("PAUSED"), await newWebhook()];
    await schedule(scheduled(paused, 1_000), scheduled(active, 1_000));
    const owner = randomUUID();
    const lanes = await claimLanes(database.sql, { owner, now: 1_000, limit: 100, leaseMs: 60_000 });
    for (const { webhookId, fence } of lanes.filter((lane) => [paused, active].includes(lane.webhookId))) {
      await releaseLane(database.sql, { webhookId, owner, fence, hold: true });
    }
    expect((await laneRow(paused))?.dueAt).toBe(Number.POSITIVE_INFINITY);
    expect((await laneRow(active))?.dueAt).toBe(1_000);
  });

  test("the lane of a webhook that was disabled meanwhile is due at once, to be cancelled, however late its next attempt is", async () => {
    const disabled = await newWebhook("DISABLED");
    await schedule(scheduled(disabled, 1_000), scheduled(disabled, Date.now() + 3_600_000));
    const lane = await claim(disabled, 1_000);
    const dueAt = await releaseLane(database.sql, { ...held(lane), hold: false });
    expect(dueAt).toBeLessThanOrEqual(soon());
    expect(await claim(disabled, soon())).toMatchObject({ status: "DISABLED" });
  });

  test("the lane of a webhook that was deleted meanwhile is due at once, to be cancelled, however late its next attempt is", async () => {
    const deleted = randomUUID();
    await schedule(scheduled(deleted, 1_000), scheduled(deleted, Date.now() + 3_600_000));
    const lane = await claim(deleted, 1_000);
    await database.sql.query(
      { name: "", text: "delete from delivery where webhook_id = $1 and next_attempt_at < now()" },
      [deleted],
    );
    expect(await releaseLane(database.sql, { ...held(lane), hold: false })).toBeLessThanOrEqual(soon());
    expect(await claim(deleted, soon())).toMatchObject({ organizationId: null, status: null });
  });

  test("who lost the lease cannot give back the lane that was removed and made again since", async () => {
    const webhookId = await newWebhook();
    await schedule(scheduled(webhookId, 1_000));
    const slow = await claim(webhookId, 1_000, 0);
    const next = await claim(webhookId, 1_000);
    await cancelWaiting(database.sql, { webhookId, reason: "gone", now: 1_000 });
    await releaseLane(database.sql, { ...held(next), hold: false });
    await schedule(scheduled(webhookId, 2_000));
    expect((await claim(webhookId, 2_000))?.fence).toBe(slow?.fence);
    await releaseLane(database.sql, { ...held(slow), hold: false });
    expect(await claim(webhookId, 2_000)).toBeUndefined();
  });

  test("a delivery that is scheduled while its lane is given back is never forgotten", async () => {
    const webhookId = await newWebhook();
    let time = 10_000;
    const scheduling = async () => {
      for (let round = 0; round < 150; round += 1) {
        time += 1;
        await schedule(scheduled(webhookId, time));
      }
    };
    const working = async () => {
      for (let round = 0; round < 300; round += 1) {
        const lane = await claim(webhookId, 1_000_000);
        if (lane !== undefined) {
          await cancelWaiting(database.sql, { webhookId, reason: "worked on", now: 1 });
          await releaseLane(database.sql, { ...lane, hold: false });
        }
      }
    };
    await Promise.all([scheduling(), scheduling(), working(), working()]);
    const text = "select count(*)::int as waiting from delivery where webhook_id = $1 and status = 'SCHEDULED'";
    const [count] = await database.sql.query<{ waiting: number }>({ name: "waiting", text }, [webhookId]);
    const lane = await laneRow(webhookId);
    expect(lane === undefined ? 0 : 1).toBe(count?.waiting === 0 ? 0 : 1);
    expect(Number.isFinite(lane?.dueAt ?? 0)).toBe(true);
  });

  test("a late failure of an older attempt changes nothing, and a late success counts", async () => {
    const webhookId = await newWebhook();
    const delivery = scheduled(webhookId, 1_000);
    const read = async () => {
      const text = "select status, attempt_count from delivery where id = $1";
      const [row] = await database.sql.query({ name: "read-delivery", text }, [delivery.id]);
      return row;
    };
    await schedule({ ...delivery, attemptCount: 2 });
    await schedule({ ...delivery, attemptCount: 1, status: "EXHAUSTED", nextAttemptAt: null, completedAt: 1 });
    expect(await read()).toMatchObject({ status: "SCHEDULED", attempt_count: 2 });
    await schedule({ ...delivery, attemptCount: 1, status: "DELIVERED", nextAttemptAt: null, completedAt: 1 });
    expect(await read()).toMatchObject({ status: "DELIVERED", attempt_count: 2 });
  });

  test("a success that is written a second time takes no retry away that was asked for meanwhile", async () => {
    const webhookId = await newWebhook();
    const delivered: DeliveryRecord = { ...scheduled(webhookId, 1_000), status: "DELIVERED", attemptCount: 1 };
    await schedule({ ...delivered, nextAttemptAt: null, completedAt: 1 });
    const retry =
      "update delivery set status = 'SCHEDULED', manual_retry = 'ONCE', next_attempt_at = now() where id = $1";
    await database.sql.query({ name: "ask-for-retry", text: retry }, [delivered.id]);
    await schedule({ ...delivered, nextAttemptAt: null, completedAt: 1 });
    const text = "select status, manual_retry from delivery where id = $1";
    const [row] = await database.sql.query({ name: "read-retried", text }, [delivered.id]);
    expect(row).toMatchObject({ status: "SCHEDULED", manual_retry: "ONCE" });
  });

  test("an outcome does not bring a cancelled delivery back", async () => {
    const webhookId = await newWebhook();
    const delivery = scheduled(webhookId, 1_000);
    await schedule(delivery);
    await cancelWaiting(database.sql, { webhookId, reason: "no longer wanted", now: 1 });
    await schedule({ ...delivery, attemptCount: 1 });
    const text = "select status, next_attempt_at, attempt_count from delivery where id = $1";
    const [row] = await database.sql.query({ name: "read-cancelled", text }, [delivery.id]);
    expect(row).toMatchObject({ status: "CANCELLED", next_attempt_at: null, attempt_count: 1 });
  });
});
