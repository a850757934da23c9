import { expect, it } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { dropExpired } from "../../src/store/drop-expired.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { insertHistory, partitionsOf } from "./history.ts";
import { dayMs, itKeepsWhatIsWanted, retention } from "./retention.contract.ts";

itKeepsWhatIsWanted(openOwn);

const day = Date.UTC(2020, 0, 10);
const late = day + 20 * dayMs;

it("rows are written while partitions are detached, and what is being read is dropped when the reader has ended", async () => {
  const { database, close } = await openOwn();
  await ensurePartitions(database.sql, { now: day, daysBefore: 0, daysAhead: 0 });
  const reading = Promise.withResolvers<void>();
  const read = Promise.withResolvers<void>();
  const reader = database.sql.transaction(async (transaction) => {
    await transaction.query({ name: "", text: "select count(*) from event" }, []);
    reading.resolve();
    await read.promise;
  });
  await reading.promise;
  const dropping = drop(database, late);
  await waitFor(() => isDetaching(database, "event_20200110"), { what: "the partition to be detached" });
  // The drop waits for the reader. Whoever writes does not wait for the drop.
  await database.sql.transaction(async (writer) => {
    await writer.query({ name: "", text: "set local lock_timeout = '30s'" }, []);
    await insertHistory(writer, { day: today(), webhooks: 2, events: 20 });
  });
  read.resolve();
  await reader;
  expect(await dropping).toMatchObject({ dropped: ["event_20200110", "delivery_20200110", "attempt_20200110"] });
  await close();
});

it("a reader that takes too long postpones the drop, and the next run finishes it", async () => {
  const { database, close } = await openOwn();
  await ensurePartitions(database.sql, { now: day, daysBefore: 0, daysAhead: 0 });
  const read = Promise.withResolvers<void>();
  const reading = Promise.withResolvers<void>();
  const reader = database.sql.transaction(async (transaction) => {
    await transaction.query({ name: "", text: "select count(*) from event" }, []);
    reading.resolve();
    await read.promise;
  });
  await reading.promise;
  expect(await drop(database, late, 100)).toEqual({ dropped: [], postponed: ["event_20200110"] });
  read.resolve();
  await reader;
  expect(await drop(database, late)).toMatchObject({
    dropped: ["event_20200110", "delivery_20200110", "attempt_20200110"],
    postponed: [],
  });
  await close();
});

it("a partition that a process detached before it died is dropped by the next one", async () => {
  const { database, close } = await openOwn();
  await ensurePartitions(database.sql, { now: day, daysBefore: 0, daysAhead: 0 });
  await database.sql.query({ name: "", text: "alter table delivery detach partition delivery_20200110" }, []);
  expect((await drop(database, late)).dropped).toEqual(["event_20200110", "delivery_20200110", "attempt_20200110"]);
  await close();
});

it("a day on which something was scheduled again while it was detached comes back", async () => {
  const { database, close } = await openOwn();
  await ensurePartitions(database.sql, { now: day, daysBefore: 0, daysAhead: 0 });
  await insertHistory(database.sql, { day, webhooks: 1, events: 3 });
  const detaching = Promise.withResolvers<void>();
  const scheduled = Promise.withResolvers<void>();
  const retrying = database.sql.transaction(async (transaction) => {
    // Sees the event, as whoever schedules a delivery does; commits only when the partition is being detached.
    await transaction.query({ name: "", text: "select count(*) from event" }, []);
    scheduled.resolve();
    await detaching.promise;
    await insertHistory(transaction, { day: today(), webhooks: 1, events: 1 });
    const text = `insert into scheduled_delivery select id, organization_id, webhook_id, event_id, event_type, 1, now(), 'ONCE', 0, created_at
      from (select * from delivery where id < $1 limit 1) d`;
    await transaction.query({ name: "", text }, ["01710000-0000-7000-8000-000000000000"]);
  });
  await scheduled.promise;
  const dropping = drop(database, late);
  await waitFor(() => isDetaching(database, "event_20200110"), { what: "the partition to be detached" });
  detaching.resolve();
  await retrying;
  expect((await dropping).dropped).toEqual(["attempt_20200110"]);
  expect(await partitionsOf(database.sql, "20200110")).toEqual(["delivery_20200110", "event_20200110"]);
  const count = {
    name: "",
    text: "select count(*)::integer as events from event where received_at < '2020-01-11T00:00:00Z'",
  };
  expect(await database.sql.query(count, [])).toEqual([{ events: 3 }]);
  await close();
});

it("of two processes one drops, and the other one passes", async () => {
  const { database, close } = await openOwn();
  const inside = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const first = database.exclusively(7, async () => {
    inside.resolve();
    await done.promise;
    return "first";
  });
  await inside.promise;
  expect(await database.exclusively(7, async () => "second")).toBeUndefined();
  done.resolve();
  expect(await first).toBe("first");
  expect(await database.exclusively(7, async () => "third")).toBe("third");
  await close();
});

async function openOwn(): Promise<{ database: Database; close(): Promise<void> }> {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 5 });
  return {
    database,
    async close() {
      await database.close();
      await testDatabase.drop();
    },
  };
}

async function drop(database: Database, now: number, patienceMs = 120_000) {
  return (await database.exclusively(1, (session) => dropExpired(session, { now, patienceMs, ...retention })))!;
}

async function isDetaching(database: Database, name: string): Promise<boolean> {
  const text = "select inhdetachpending as pending from pg_inherits where inhrelid = to_regclass($1)";
  const [row] = await database.sql.query<{ pending: boolean }>({ name: "", text }, [name]);
  return row?.pending === true;
}

function today(): number {
  const now = Date.now();
  return now - (now % dayMs);
}
