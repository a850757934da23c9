import { expect, it } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import type { Sql } from "../../src/store/sql.ts";
import { withOwnDatabase } from "../support/own-database.ts";

const dayMs = 24 * 60 * 60_000;

let database: Database;
withOwnDatabase({ maxConnections: 6 }, (own) => {
  database = own;
});

it("a database that was migrated has yesterday, today and the next seven days for events, deliveries and attempts", async () => {
  const days = await daysOf(database.sql, "delivery");
  const around = (ms: number) => Array.from({ length: 9 }, (_, index) => dayName(ms + (index - 1) * dayMs));
  // It may have been migrated just before midnight.
  expect([around(Date.now()), around(Date.now() - dayMs)]).toContainEqual(days);
  expect(await daysOf(database.sql, "event")).toEqual(days);
  expect(await daysOf(database.sql, "attempt")).toEqual(days);
});

it("the days ahead are made as time goes on, each once, whoever asks and however many at once", async () => {
  const now = Date.UTC(2030, 5, 15, 23, 59, 59, 999);
  const made = await Promise.all(
    [1, 2, 3, 4].map(() => ensurePartitions(database.sql, { now, daysBefore: 0, daysAhead: 1 })),
  );
  const names = ["event", "delivery", "attempt"].flatMap((table) => [`${table}_20300615`, `${table}_20300616`]);
  expect(made.flat().sort()).toEqual(names.sort());
  expect(await ensurePartitions(database.sql, { now: now + 1, daysBefore: 1, daysAhead: 0 })).toEqual([]);
});

it("days of the past are made on request, for deliveries of old events", async () => {
  const now = Date.UTC(2020, 1, 29, 12);
  expect(await ensurePartitions(database.sql, { now, daysBefore: 1, daysAhead: 0 })).toContain("delivery_20200228");
  const id = "01708fc4-8000-8000-8000-000000000000"; // 2020-02-29T00:00:00.000Z
  await insertDelivery(database.sql, id);
  expect(await partitionOfDelivery(id)).toBe("delivery_20200229");
});

it("Postgres counts as little of a new day's columns as of those of the days before", async () => {
  await ensurePartitions(database.sql, { now: Date.UTC(2033, 0, 1), daysBefore: 0, daysAhead: 0 });
  const today = new Date().toISOString().slice(0, 10).replaceAll("-", "");
  for (const table of ["event", "delivery", "attempt"]) {
    const ofTable = await statisticsOf(table);
    expect(ofTable).toContainEqual({ column: "id", target: 20 });
    expect(ofTable.some(({ target }) => target === 0)).toBe(true);
    expect(await statisticsOf(`${table}_20330101`)).toEqual(ofTable);
    expect(await statisticsOf(`${table}_${today}`)).toEqual(ofTable);
  }
});

it("the last millisecond of a day and the first of the next are in different partitions", async () => {
  await ensurePartitions(database.sql, { now: Date.UTC(2031, 0, 1), daysBefore: 1, daysAhead: 0 });
  const midnight = Date.UTC(2031, 0, 1);
  const last = idAt(midnight - 1, "8fff-bfff-ffffffffffff");
  const first = idAt(midnight, "8000-8000-000000000000");
  await insertDelivery(database.sql, last);
  await insertDelivery(database.sql, first);
  expect(await partitionOfDelivery(last)).toBe("delivery_20301231");
  expect(await partitionOfDelivery(first)).toBe("delivery_20310101");
});

it("an event id is unique within its organization and its day", async () => {
  const receivedAt = new Date().toISOString();
  const insert = (organizationId: string) =>
    database.sql.query(
      {
        name: "",
        text: `insert into event (id, organization_id, type, data_json, occurred_at, received_at)
          values ('01a20000-0000-7000-8000-000000000001', $1, 'a', '{}', $2, $2) on conflict do nothing returning id`,
      },
      [organizationId, receivedAt],
    );
  expect(await insert("01a20000-0000-7000-8000-00000000000a")).toHaveLength(1);
  expect(await insert("01a20000-0000-7000-8000-00000000000a")).toHaveLength(0);
  expect(await insert("01a20000-0000-7000-8000-00000000000b")).toHaveLength(1);
});

it("partitions are made while rows are being written, and the writers do not wait", async () => {
  await database.sql.transaction(async (writer) => {
    // Holds what an INSERT holds on the parent, until this transaction ends.
    await insertDelivery(writer, idAt(Date.now(), "8000-8000-0000000000aa"));
    const now = Date.UTC(2032, 0, 1);
    expect(await ensurePartitions(database.sql, { now, daysBefore: 0, daysAhead: 0 })).toHaveLength(3);
    await insertDelivery(writer, idAt(Date.now(), "8000-8000-0000000000ab"));
  });
});

function idAt(ms: number, rest: string): string {
  const hex = ms.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-${rest}`;
}

async function insertDelivery(sql: Sql, id: string): Promise<void> {
  const other = "01a20000-0000-7000-8000-000000000000";
  await sql.query(
    {
      name: "",
      text: `insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
          last_status_code, created_at, completed_at)
        values ($1, $2, $2, $2, 'a', 'DELIVERED', '', 1, 200, now(), now())`,
    },
    [id, other],
  );
}

async function partitionOfDelivery(id: string): Promise<string | undefined> {
  const text = "select tableoid::regclass::text as partition from delivery where id = $1";
  const [row] = await database.sql.query<{ partition: string }>({ name: "", text }, [id]);
  return row?.partition;
}

/** The days of the table's partitions around today, as `YYYYMMDD`. */
async function daysOf(sql: Sql, table: string): Promise<string[]> {
  const text = `select right(inhrelid::regclass::text, 8) as day from pg_inherits where inhparent = $1::regclass order by 1`;
  const rows = await sql.query<{ day: string }>({ name: "", text }, [table]);
  return rows.map(({ day }) => day);
}

function dayName(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10).replaceAll("-", "");
}

async function statisticsOf(table: string): Promise<{ column: string; target: number | null }[]> {
  const text = `select attname as column, attstattarget::integer as target from pg_attribute
    where attrelid = $1::regclass and attnum > 0 order by attname`;
  return await database.sql.query({ name: "", text }, [table]);
}
