import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import type { Statement } from "../../src/store/sql.ts";
import { addOrganization, deliveriesOf, newEvent } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { attemptOf, delivered, recordBatch, scheduledRecord } from "./store-under-test.ts";

let databaseUrl: string;
let database: Database;
let organizationId: string;

/** Of today: at midnight events go through a transaction, whose statements are planned each time. */
const noon = new Date(new Date().setUTCHours(12, 0, 0, 0));

// One of them is for statements that are planned once.
withOwnDatabase({ maxConnections: 4 }, async (own, url) => {
  database = own;
  databaseUrl = url;
  organizationId = await addOrganization(database);
});

test("the two statements of an event that arrives at once are planned once, and not again for each batch", async () => {
  for (let batch = 0; batch < 7; batch++) await receiveAndDeliver();
  const plans = await sessionOfPlannedOnce<{ name: string; generic: string; custom: string }>(
    "select name, generic_plans::text as generic, custom_plans::text as custom from pg_prepared_statements where name <> '' order by name",
  );
  expect(plans).toEqual([
    { name: "insert-events", generic: "7", custom: "0" },
    { name: "record-delivered", generic: "7", custom: "0" },
  ]);
});

test("tables that have grown after the plan was made are looked into by their indexes", async () => {
  await fillTables(1);
  await sessionOfPlannedOnce("analyze scheduled_delivery, event");
  await receiveAndDeliver();
  await fillTables(20_000);
  const before = await scans();
  for (let batch = 0; batch < 3; batch++) await receiveAndDeliver();
  const after = await scans();
  expect(after.sequential).toBe(before.sequential);
  expect(after.byIndex).toBeGreaterThan(before.byIndex);
});

test("whether an event came yesterday is asked of the index of ids, however much its organization published", async () => {
  await sessionOfPlannedOnce(`
    insert into event (id, organization_id, type, data_json, occurred_at, received_at)
    select gen_random_uuid(), case when n % 20 = 0 then '${organizationId}' else md5((n % 20)::text) end::uuid, 'order.paid', '{}', now(),
           date_trunc('day', now(), 'UTC') - n * interval '1 second'
    from generate_series(1, 40000) n`);
  await sessionOfPlannedOnce("vacuum analyze event");
  const before = await scansByOrganization();
  await receiveAndDeliver();
  expect(await scansByOrganization()).toBe(before);
});

test("with too few connections for a share, the same statements go by the others", async () => {
  const few = await openTestPostgres(databaseUrl, { maxConnections: 2 });
  const event = newEvent(organizationId);
  expect((await createEventInserter(few.sql)([event], noon)).known.size).toBe(0);
  expect((await createEventInserter(few.sql)([event], noon)).known.size).toBe(1);
  await few.close();
});

test("a connection that breaks between two statements is replaced", async () => {
  await receiveAndDeliver();
  const [own] = await sessionOfPlannedOnce<{ pid: number }>("select pg_backend_pid() as pid");
  await database.sql.query({ name: "", text: "select pg_terminate_backend($1, 10000)" }, [own?.pid]);
  // The first statement may find out that the connection is gone.
  const webhookId = await receiveAndDeliver().catch(receiveAndDeliver);
  expect(await deliveriesOf(database, webhookId)).toMatchObject([{ status: "DELIVERED" }]);
});

async function receiveAndDeliver(): Promise<string> {
  const webhookId = randomUUID();
  const event = newEvent(organizationId);
  await createEventInserter(database.sql)([event], noon);
  const delivery = delivered(scheduledRecord({ organizationId, webhookId }, { eventId: event.id }), 1);
  await recordBatch(database, { deliveries: [delivery], attempts: [attemptOf(delivery)] });
  return webhookId;
}

/** With deliveries that wait, and events of yesterday. */
async function fillTables(rows: number): Promise<void> {
  await sessionOfPlannedOnce(`
    insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at, last_status_code, created_at)
    select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'order.paid', 0, now(), 0, now()
    from generate_series(1, ${rows})`);
  await sessionOfPlannedOnce(`
    insert into event (id, organization_id, type, data_json, occurred_at, received_at)
    select gen_random_uuid(), gen_random_uuid(), 'order.paid', '{}', now(), date_trunc('day', now(), 'UTC') - interval '12 hours'
    from generate_series(1, ${rows})`);
}

/** Asks the one connection that plans once. */
async function sessionOfPlannedOnce<Row>(text: string): Promise<Row[]> {
  const statement: Statement = { name: "", text, plannedOnce: true };
  return await database.sql.query<Row>(statement, []);
}

/** Of the indexes of event that begin with the organization, by all sessions. */
async function scansByOrganization(): Promise<number> {
  await sessionOfPlannedOnce("select pg_stat_force_next_flush()");
  const text = `
    select sum(idx_scan)::integer as scans from pg_stat_user_indexes
    where relname like 'event_%' and pg_get_indexdef(indexrelid) like '%(organization_id, received_at %'`;
  const [row] = await sessionOfPlannedOnce<{ scans: number }>(text);
  return row?.scans ?? Number.NaN;
}

/** Of scheduled_delivery and the days of event, by all sessions. */
async function scans(): Promise<{ sequential: number; byIndex: number }> {
  await sessionOfPlannedOnce("select pg_stat_force_next_flush()");
  const text = `
    select sum(seq_scan)::integer as sequential, sum(idx_scan)::integer as "byIndex"
    from pg_stat_user_tables where relname = 'scheduled_delivery' or relname like 'event_%'`;
  const [row] = await sessionOfPlannedOnce<{ sequential: number; byIndex: number }>(text);
  return row ?? { sequential: Number.NaN, byIndex: Number.NaN };
}
