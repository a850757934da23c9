import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openPostgres } from "../../src/store/database.ts";
import { advanceTurns } from "../../src/store/sql/turns.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { claimLane, delivered, exhausted, failed, type HeldLane, record, scheduledRecord } from "./store-under-test.ts";

let testDatabase: TestDatabase;
let database: Database;

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openPostgres(testDatabase.url, { maxConnections: 5 });
});

afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

const newTarget = () => ({ organizationId: randomUUID(), webhookId: randomUUID() });

function ordered(target: ReturnType<typeof newTarget>, orderingKey: string, sequence: number): DeliveryRecord {
  return scheduledRecord(target, { orderingKey, sequence, nextAttemptAt: Number.POSITIVE_INFINITY });
}

async function hold(webhookId: string): Promise<HeldLane> {
  const lane = await claimLane(database, webhookId);
  if (lane === undefined) throw new Error("nobody got the lane");
  return lane;
}

const advance = (lane: HeldLane, through: number) => advanceTurns(database.sql, { ...lane, through });

/** The sequences of those that are due, in order. */
async function due(webhookId: string): Promise<number[]> {
  const rows = await database.sql.query<{ sequence: number }>(
    {
      name: "",
      text: `select sequence::float8 as sequence from scheduled_delivery
             where webhook_id = $1 and next_attempt_at <= now() order by sequence`,
    },
    [webhookId],
  );
  return rows.map(({ sequence }) => sequence);
}

test("of each key the first one gets its turn, and only when everything before it is on record", async () => {
  const target = newTarget();
  await record(database, ordered(target, "a", 5), ordered(target, "a", 7), ordered(target, "b", 9));
  const lane = await hold(target.webhookId);
  expect(await advance(lane, 4)).toMatchObject({ isWaiting: true });
  expect(await due(target.webhookId)).toEqual([]);
  expect(await advance(lane, 7)).toMatchObject({ isWaiting: true });
  expect(await due(target.webhookId)).toEqual([5]);
  expect(await advance(lane, 9)).toMatchObject({ isWaiting: false });
  expect(await due(target.webhookId)).toEqual([5, 9]);
});

test("the next one of a key follows when the one before is delivered or given up, and not while it is tried again", async () => {
  const target = newTarget();
  const [first, second, third] = [1, 2, 3].map((sequence) => ordered(target, "a", sequence));
  await record(database, first!, second!, third!);
  await advance(await hold(target.webhookId), 3);
  await record(database, failed(first!, 1, Date.now() + 60_000));
  expect(await due(target.webhookId)).toEqual([]);
  await record(database, delivered(first!, 2));
  expect(await due(target.webhookId)).toEqual([2]);
  await record(database, exhausted(second!, 1));
  expect(await due(target.webhookId)).toEqual([3]);
});

test("one that is recorded late still comes before the later ones of its key that wait", async () => {
  const target = newTarget();
  await record(database, ordered(target, "a", 1), ordered(target, "a", 3));
  await advance(await hold(target.webhookId), 3);
  await record(database, ordered(target, "a", 2));
  expect(await due(target.webhookId)).toEqual([1]);
  const [head] = await database.sql.query<{ id: string }>(
    { name: "", text: "select id from scheduled_delivery where webhook_id = $1 and sequence = 1" },
    [target.webhookId],
  );
  await record(database, delivered({ ...ordered(target, "a", 1), id: head!.id }, 1));
  expect(await due(target.webhookId)).toEqual([2]);
});

test("one that comes when its key is idle and the mark is past it gets its turn with its recording", async () => {
  const target = newTarget();
  await record(database, ordered(target, "a", 10));
  const lane = await hold(target.webhookId);
  await advance(lane, 20);
  await record(database, ordered(target, "b", 15));
  expect(await due(target.webhookId)).toEqual([10, 15]);
});

test("who has lost the lane gives no turns", async () => {
  const target = newTarget();
  await record(database, ordered(target, "a", 1));
  const lane = await hold(target.webhookId);
  await advance({ ...lane, fence: lane.fence - 1 }, 1);
  expect(await due(target.webhookId)).toEqual([]);
});

test("a broker that began anew holds nothing up", async () => {
  const target = newTarget();
  await record(database, ordered(target, "a", 100), ordered(target, "b", 500));
  const lane = await hold(target.webhookId);
  await advance(lane, 200);
  expect(await due(target.webhookId)).toEqual([100]);
  await advance(lane, 3);
  expect(await due(target.webhookId)).toEqual([100, 500]);
});

test("what nobody records for ten minutes is not waited for any longer", async () => {
  const target = newTarget();
  const longAgo = Date.now() - 11 * 60_000;
  await record(
    database,
    scheduledRecord(target, {
      orderingKey: "a",
      sequence: 9,
      nextAttemptAt: Number.POSITIVE_INFINITY,
      createdAt: longAgo,
    }),
    ordered(target, "b", 10),
  );
  await advance(await hold(target.webhookId), 5);
  expect(await due(target.webhookId)).toEqual([9]);
});
