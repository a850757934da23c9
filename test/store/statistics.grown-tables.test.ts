import { randomBytes, randomUUID } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { firstIdAt } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { analyzeGrownTables } from "../../src/store/sql/analyze-grown-tables.ts";
import { cancelSomeWaiting } from "../../src/store/sql/lanes.ts";
import { endTurns } from "../../src/store/sql/turns.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { run } from "./store-under-test.ts";

let database: Database;
let organizationId: string;

// One connection: what it has counted is told when it says so.
withOwnDatabase({ maxConnections: 1 }, async (own) => {
  database = own;
  organizationId = await addOrganization(database);
});

const rows = 20_000;

/** Postgres believes that scheduled_delivery is empty, whatever its size: a page is left in which nothing is. */
beforeEach(async () => {
  await run(database, "delete from scheduled_delivery");
  await schedule(randomUUID(), 1);
  await run(database, "delete from scheduled_delivery");
  await run(database, "vacuum (truncate false, analyze) scheduled_delivery");
  expect(await believedRows()).toBe(0);
});

test("a table that was believed to be empty is looked at again when it has filled, and then no more", async () => {
  expect(await grown()).toEqual([]);
  await schedule(randomUUID(), rows);
  expect(await grown()).toEqual(["scheduled_delivery"]);
  expect(await believedRows()).toBe(rows);
  await schedule(randomUUID(), rows);
  expect(await grown()).toEqual([]);
});

test("a thousand rows in a table that was empty are too few to look", async () => {
  await schedule(randomUUID(), 1_000);
  expect(await grown()).toEqual([]);
});

test("a table that belongs to somebody else is left to them", async () => {
  const visitor = `visitor_${randomBytes(6).toString("hex")}`;
  await schedule(randomUUID(), rows);
  await run(database, `create role ${visitor}`);
  await run(database, `set role ${visitor}`);
  try {
    expect(await grown()).toEqual([]);
  } finally {
    await run(database, "reset role");
    await run(database, `drop role ${visitor}`);
  }
  expect(await grown()).toEqual(["scheduled_delivery"]);
});

test("what waits for a disabled webhook is cancelled by its own rows, before anybody has looked", async () => {
  const { webhook } = await addWebhook(database, organizationId, {
    url: "http://127.0.0.1:19999/",
    status: "DISABLED",
  });
  await schedule(randomUUID(), rows);
  await schedule(webhook.id, 500);
  const before = await rowsRead();
  const cancelling = { webhookId: webhook.id, reason: "WEBHOOK_DISABLED", now: Date.now() };
  expect(await cancelSomeWaiting(database.sql, cancelling)).toBe(500);
  expect((await rowsRead()) - before).toBeLessThan(rows);
});

test("turns of a webhook that asks for no order any more are ended by its own rows, before anybody has looked", async () => {
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:19999/" });
  await schedule(randomUUID(), rows);
  await schedule(webhook.id, 500, "'infinity', 'key', n");
  const before = await rowsRead();
  expect(await endTurns(database.sql, webhook.id)).toBe(500);
  expect((await rowsRead()) - before).toBeLessThan(rows);
});

/** Deliveries that are due now, or with another time, ordering key and sequence. */
async function schedule(webhookId: string, count: number, when = "now(), null, null"): Promise<void> {
  await run(
    database,
    `insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at, ordering_key,
                                     sequence, last_status_code, created_at)
     select overlay(gen_random_uuid()::text placing '${firstIdAt(Date.now()).slice(0, 13)}' from 1 for 13)::uuid, '${organizationId}', '${webhookId}', gen_random_uuid(), 'order.paid', 0, ${when}, 0, now()
     from generate_series(1, ${count}) n`,
  );
}

/** With everything told that was counted. */
async function grown(): Promise<string[]> {
  await run(database, "select pg_stat_force_next_flush()");
  return await analyzeGrownTables(database.sql);
}

async function believedRows(): Promise<number> {
  const text = "select reltuples::integer as rows from pg_class where oid = 'scheduled_delivery'::regclass";
  const [row] = await database.sql.query<{ rows: number }>({ name: "", text }, []);
  return row?.rows ?? Number.NaN;
}

/** Rows of scheduled_delivery that any statement has read so far, by an index or without. */
async function rowsRead(): Promise<number> {
  await run(database, "select pg_stat_force_next_flush()");
  const text = `
    select (seq_tup_read + idx_tup_fetch + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'scheduled_delivery'))::integer as rows
    from pg_stat_user_tables where relname = 'scheduled_delivery'`;
  const [row] = await database.sql.query<{ rows: number }>({ name: "", text }, []);
  return row?.rows ?? Number.NaN;
}
