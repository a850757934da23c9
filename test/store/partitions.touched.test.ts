import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { firstIdAt, newUuid } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { boundsOf, ensurePartitions, type PartitionedTable, partitionName } from "../../src/store/partitions.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import { knownEvents } from "../../src/store/sql/known-events.ts";
import { dueDeliveries } from "../../src/store/sql/lanes.ts";
import { lastAttempts } from "../../src/store/sql/last-attempts.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import { removeHeldAttempts } from "../../src/store/sql/remove-held-attempts.ts";
import { readAttempts } from "../../src/store/sql/stored-attempts.ts";
import type { Sql } from "../../src/store/sql.ts";
import { newEvent, testIds } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { attemptOf, delivered, failed, record, scheduledRecord } from "./store-under-test.ts";

let database: Database;
const target = { organizationId: randomUUID(), webhookId: randomUUID() };

const dayMs = 24 * 3_600_000;
const now = Date.now();
const today = now - (now % dayMs);
/** The middle of a day: far from the partitions beside it. */
const noon = (daysAgo: number) => today + dayMs / 2 - daysAgo * dayMs;

withOwnDatabase({ maxConnections: 4 }, async (own) => {
  database = own;
  await ensurePartitions(database.sql, { now, daysBefore: 6, daysAhead: 2 });
});

/** The days, counted backwards from today, whose partitions a statement looks at: those that its transaction has locked. */
async function daysTouched(table: PartitionedTable, work: (transaction: Sql) => Promise<unknown>): Promise<number[]> {
  const names = await database.sql.transaction(async (transaction) => {
    await work(transaction);
    const text = `select distinct relname as name from pg_locks join pg_class on pg_class.oid = relation
      where pid = pg_backend_pid() and relkind = 'r'`;
    return (await transaction.query<{ name: string }>({ name: "", text }, [])).map(({ name }) => name);
  });
  const days = Array.from({ length: 9 }, (_, index) => index - 2);
  return days.filter((daysAgo) => names.includes(partitionName(table, today - daysAgo * dayMs)));
}

describe("of many days, only a few are looked at", () => {
  test("when events are received: today's and yesterday's", async () => {
    const insert = (sql: Sql) => createEventInserter(sql)([newEvent(target.organizationId)], new Date(noon(1)));
    expect(await daysTouched("event", insert)).toEqual([1, 2]);
  });

  test("when deliveries are recorded: those of their events", async () => {
    const recording = (sql: Sql) => {
      const [happy, unhappy] = [3, 3].map((daysAgo) => scheduledRecord(target, { createdAt: noon(daysAgo) }));
      const deliveries = [delivered(happy!, 1), failed(unhappy!, 1, now)];
      const attempts = deliveries.map((delivery) => ({
        ...attemptOf(delivery),
        id: newUuid({ ...testIds, now: () => noon(1) }),
        startedAt: noon(1),
      }));
      return recordOutcomes(sql, { deliveries, attempts, disablings: [] });
    };
    expect(await daysTouched("delivery", recording)).toEqual([3]);
    expect(await daysTouched("attempt", recording)).toEqual([1]);
  });

  test("when attempts are read: the days of their deliveries, and those in question", async () => {
    const deliveryIds = [3, 4].map((daysAgo) => scheduledRecord(target, { createdAt: noon(daysAgo) }).id);
    const question = { deliveryIds, first: firstIdAt(noon(4)), end: firstIdAt(noon(1)) };
    for (const read of [readAttempts, lastAttempts]) {
      expect(await daysTouched("delivery", (sql) => read(sql, question))).toEqual([3, 4]);
      expect(await daysTouched("attempt", (sql) => read(sql, question))).toEqual([1, 2, 3, 4]);
    }
  });

  test("when attempts of an expired day are removed from their deliveries: that day", async () => {
    const { from: after, to: before } = boundsOf({ table: "delivery", day: today - 5 * dayMs });
    const remove = (sql: Sql) => removeHeldAttempts(sql, { after, before, limit: 10 });
    expect(await daysTouched("delivery", remove)).toEqual([5]);
  });

  test("when a lane's deliveries are read: those of their events", async () => {
    await record(
      database,
      scheduledRecord(target, { createdAt: noon(4) }),
      scheduledRecord(target, { createdAt: noon(2) }),
    );
    const read = (sql: Sql) =>
      dueDeliveries(sql, { webhookId: target.webhookId, now: now + dayMs, limit: 100, maxBytes: 1e9, except: [] });
    expect(await daysTouched("event", read)).toEqual([2, 3, 4]);
  });

  test("when events come again: for their deliveries, the day of their receipt", async () => {
    const event = newEvent(target.organizationId);
    await createEventInserter(database.sql)([event], new Date(noon(5)));
    const read = (sql: Sql) => knownEvents(sql, [event.id], [event.organizationId], new Date(noon(5)));
    expect(await daysTouched("delivery", read)).toEqual([5]);
  });
});
