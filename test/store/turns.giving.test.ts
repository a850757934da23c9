import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { advanceTurns, endTurns } from "../../src/store/sql/turns.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import type { Sql } from "../../src/store/sql.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { claimLane, delivered, exhausted, failed, type HeldLane, record, scheduledRecord } from "./store-under-test.ts";

let database: Database;

withOwnDatabase({ maxConnections: 5 }, (own) => {
  database = own;
});

const newTarget = () => ({ organizationId: randomUUID(), webhookId: randomUUID() });

function ordered(
  target: { organizationId: string; webhookId: string },
  orderingKey: string,
  sequence: number,
): DeliveryRecord {
  return scheduledRecord(target, { orderingKey, sequence, nextAttemptAt: Number.POSITIVE_INFINITY });
}

async function hold(webhookId: string): Promise<HeldLane> {
  const lane = await claimLane(database, webhookId);
  if (lane === undefined) throw new Error("nobody got the lane");
  return lane;
}

const advance = (lane: HeldLane, through: number, last = through) =>
  advanceTurns(database.sql, { ...lane, through, last });

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

test("an event that was published several times has the first of its places, whichever is recorded first", async () => {
  const target = newTarget();
  const published = ordered(target, "a", 9);
  await record(database, published, ordered(target, "a", 7));
  await record(database, { ...published, sequence: 5 });
  await record(database, { ...published, sequence: 8 });
  const lane = await hold(target.webhookId);
  await advance(lane, 10);
  expect(await due(target.webhookId)).toEqual([5]);
  await record(database, delivered({ ...published, sequence: 5 }, 1));
  expect(await due(target.webhookId)).toEqual([7]);
  // Nor does a later copy bring back what is finished.
  await record(database, { ...published, sequence: 11 });
  await advance(lane, 12);
  expect(await due(target.webhookId)).toEqual([7]);
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

test("a mark that falls back, as after a crash of the broker, gives nobody a turn before its time", async () => {
  const target = newTarget();
  await record(database, ordered(target, "a", 100), ordered(target, "b", 500));
  const lane = await hold(target.webhookId);
  await advance(lane, 200, 600);
  expect(await advance(lane, 150, 600)).toMatchObject({ isNew: false, isWaiting: true });
  expect(await due(target.webhookId)).toEqual([100]);
  // What is recorded of before the mark has its turn all the same.
  await record(database, ordered(target, "c", 180));
  expect(await due(target.webhookId)).toEqual([100, 180]);
  await advance(lane, 500, 600);
  expect(await due(target.webhookId)).toEqual([100, 180, 500]);
});

test.each([
  ["after a long pause", { through: 5_000, last: 5_000 }],
  ["of a broker that began anew", { through: 0, last: 0 }],
])("the turns of a great many keys, %s, are given out in short transactions, and all of them", async (_when, mark) => {
  const target = newTarget();
  const keys = Array.from({ length: 2_500 }, (_, index) => ordered(target, `key ${index}`, index + 1));
  await record(database, ...keys, ordered(target, "key 0", 2_501));
  const lane = await hold(target.webhookId);
  await advance(lane, 0, 5_000);
  if (mark.last === 0) await database.sql.query({ name: "", text: moveMark }, [target.webhookId]);
  const given: number[] = [];
  const sql = counting((statement, [, orderingKeys]) => {
    if (statement === "give-turns") given.push((orderingKeys as unknown[]).length);
  });
  expect(await advanceTurns(sql, { ...lane, ...mark })).toMatchObject({ isNew: true });
  expect(Math.max(...given)).toBeLessThanOrEqual(1_000);
  expect(await due(target.webhookId)).toEqual(keys.map(({ sequence }) => sequence));
});

test("what waits for its turn when its webhook asks for no order any more is due, however much it is", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  const target = { organizationId, webhookId: webhook.id };
  await record(database, ...Array.from({ length: 1_200 }, (_, index) => ordered(target, "a", index + 1)));
  expect(await endTurns(database.sql, webhook.id)).toBe(1_000);
  expect(await endTurns(database.sql, webhook.id)).toBe(200);
  expect(await endTurns(database.sql, webhook.id)).toBe(0);
  expect(await due(webhook.id)).toHaveLength(1_200);
});

test("nothing is due before its turn while its webhook asks for an order", async () => {
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/", ordering: "BY_KEY" });
  await record(database, ordered({ organizationId, webhookId: webhook.id }, "a", 1));
  expect(await endTurns(database.sql, webhook.id)).toBe(0);
  expect(await due(webhook.id)).toEqual([]);
});

const moveMark = "update lane set ordered_through = 4000 where webhook_id = $1";

/** The same database, each statement of which is told of. */
function counting(onStatement: (name: string, parameters: readonly unknown[]) => void): Sql {
  const watch = (sql: Sql): Sql => ({
    ...sql,
    query(statement, parameters) {
      onStatement(statement.name, parameters);
      return sql.query(statement, parameters);
    },
    transaction: (work) => sql.transaction((transaction) => work(watch(transaction))),
  });
  return watch(database.sql);
}
