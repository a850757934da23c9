import pg from "pg";
import { createHearingConnections } from "../../src/store/hearing-connections.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { createPoolSql } from "../../src/store/pool.ts";
import { waitFor } from "../../test/support/wait-for.ts";
import { withDatabase } from "./databases.ts";

/**
 * Writes deliveries that wait for their next attempt straight into the tables, for the webhooks of a group, with their events: as if the
 * receiver had failed once, some minutes ago. Their lanes rest until the webhooks are paused and resumed.
 */
export async function addWaitingDeliveries(
  databaseUrl: string,
  { group, count }: { group: string; count: number },
): Promise<void> {
  const spanMs = 10 * 60_000;
  await makePartitions(databaseUrl, 1);
  await withDatabase(databaseUrl, async (client) => {
    for (const batch of batchesOf(count)) {
      await client.query("begin");
      await makeBatch(client, { ...batch, group, count, fromMs: Date.now() - spanMs, spanMs });
      await client.query(insertEvents);
      await client.query(insertScheduled);
      await client.query(insertFailedAttempts);
      await client.query(insertRestingLanes);
      await client.query("commit");
    }
    await client.query("vacuum analyze");
    await client.query("checkpoint");
  });
}

/** Waits until no delivery of any webhook is scheduled, and no lane is left, be it to remember its breaker. */
export async function waitForNoLanes(databaseUrl: string): Promise<void> {
  await withDatabase(databaseUrl, async (client) => {
    const isDone = async () => (await client.query<{ done: boolean }>(noLanes)).rows[0]?.done;
    await waitFor(isDone, { timeoutMs: 120_000, what: "every lane to be gone" });
  });
}

/**
 * Writes finished deliveries with their events straight into the tables, each with its attempt, spread over the past days: each event was delivered at
 * once to every webhook of its organization that is in the group. Ends with a vacuum and a checkpoint, so that neither of them falls into what is
 * measured.
 */
export async function addFinishedDeliveries(
  databaseUrl: string,
  { group, count, days }: { group: string; count: number; days: number },
): Promise<void> {
  const spanMs = days * dayMs;
  await makePartitions(databaseUrl, days);
  await withDatabase(databaseUrl, async (client) => {
    const fromMs = Date.now() - spanMs;
    const [webhooks] = (await client.query<{ each: number }>(webhooksOfEach, [group])).rows;
    const events = Math.ceil(count / (webhooks?.each ?? 1));
    await withoutIndexes(client, async () => {
      for (const batch of batchesOf(events)) {
        await client.query("begin");
        await makeBatch(client, { ...batch, group, count: events, fromMs, spanMs });
        await client.query(insertEvents);
        await client.query(insertDelivered);
        await client.query("commit");
      }
    });
    await client.query("vacuum analyze");
    await client.query("checkpoint");
  });
}

const dayMs = 24 * 60 * 60_000;
const batchEvents = 50_000;

/** The events of a run of this many, numbered from 1. */
function batchesOf(count: number): { first: number; last: number }[] {
  const batches: { first: number; last: number }[] = [];
  for (let first = 1; first <= count; first += batchEvents) {
    batches.push({ first, last: Math.min(first + batchEvents - 1, count) });
  }
  return batches;
}

interface Batch {
  first: number;
  last: number;
  count: number;
  group: string;
  fromMs: number;
  spanMs: number;
}

async function makeBatch(client: pg.Client, { first, last, count, group, fromMs, spanMs }: Batch): Promise<void> {
  await client.query("set local synchronous_commit = off");
  await client.query("drop table if exists pg_temp.batch");
  await client.query(createBatch);
  await client.query(fillBatch, [first, last, count, group, fromMs, spanMs]);
}

const createBatch = `
  create temp table batch (
    number bigint, organization_id uuid, webhook_id uuid, url text, event_id uuid, delivery_id uuid, attempt_id uuid, created_at timestamptz
  ) on commit drop`;

// Ids as Tellwire makes them, in their layout, though not with its hashes: an event's that its publisher named is a hash without a time (UUIDv8);
// a delivery's begins with the time of receipt in milliseconds, then with bits of its event; an attempt's is a UUIDv7.
const fillBatch = `
  insert into batch
  select e.number, w.organization_id, w.id, w.url, overlay(overlay(e.hash placing '8' from 13) placing '8' from 17)::uuid,
         (e.time || '8' || substr(e.hash, 1, 3) || '8' || substr(md5(e.hash || w.id), 1, 15))::uuid,
         (e.time || '7' || substr(md5(w.id || e.hash), 1, 3) || '8' || substr(md5(w.id || e.hash), 5, 15))::uuid,
         to_timestamp(e.ms / 1000.0)
  from (
    select number, ms, lpad(to_hex(ms), 12, '0') as time, md5('bench ' || $4::text || number) as hash
    from generate_series($1::bigint, $2::bigint) as number,
         lateral (select $5::bigint + number * $6::bigint / $3::bigint as ms) as at
  ) e
  join (
    select *, dense_rank() over (order by organization_id) - 1 as place, count(*) over () as webhooks
    from webhook where url like '%/' || $4::text || '/%'
  ) w on w.place = e.number % (select count(distinct organization_id) from webhook where url like '%/' || $4::text || '/%')
  order by e.number`;

const webhooksOfEach = `
  select (count(*) / count(distinct organization_id))::int as each from webhook where url like '%/' || $1::text || '/%'`;

const insertEvents = `
  insert into event (id, organization_id, external_id, type, data_json, occurred_at, received_at)
  select distinct event_id, organization_id, 'bench-' || number, 'order.paid_0', '{"number":' || number || ',"text":"an old order"}',
         created_at, created_at
  from batch`;

const insertDelivered = `
  insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count, last_status_code,
                        created_at, completed_at, attempt_id, attempt_started_at, attempt_latency_ms, attempt_status_code,
                        attempt_response_body, attempt_url)
  select delivery_id, organization_id, webhook_id, event_id, 'order.paid_0', 'DELIVERED', '', 1, 204, created_at, created_at,
         attempt_id, created_at, 1, 204, '', url
  from batch`;

const insertScheduled = `
  insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at, last_status_code,
                                  created_at)
  select delivery_id, organization_id, webhook_id, event_id, 'order.paid_0', 1, created_at + interval '5 seconds', 500, created_at
  from batch`;

const insertFailedAttempts = `
  insert into attempt (id, delivery_id, number, trigger, started_at, latency_ms, status_code, error, error_message, response_body, url)
  select attempt_id, delivery_id, 1, 'SCHEDULE', created_at, 1, 500, 'STATUS', 'the receiver answered 500: only a 2xx counts as received',
         '', url
  from batch`;

const insertRestingLanes = `
  insert into lane (webhook_id, organization_id, due_at)
  select distinct webhook_id, organization_id, 'infinity'::timestamptz from batch on conflict do nothing`;

const noLanes = `
  select not exists (select from lane) and not exists (select from scheduled_delivery) as done`;

/** Drops what indexes can be dropped, and builds them again after the work: sorting many rows costs less than finding a place for each. */
async function withoutIndexes(client: pg.Client, work: () => Promise<void>): Promise<void> {
  const { rows } = await client.query<{ name: string; definition: string }>(secondaryIndexes);
  for (const { name } of rows) await client.query(`drop index ${name}`);
  await work();
  await client.query("set maintenance_work_mem = '256MB'");
  // Of a partitioned table the definition says ONLY, which would leave out the partitions.
  for (const { definition } of rows) await client.query(definition.replace(" ON ONLY ", " ON "));
}

const secondaryIndexes = `
  select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
  where indrelid in ('event'::regclass, 'delivery'::regclass, 'attempt'::regclass) and not indisunique`;

/** Makes the partitions of the days up to today, as Tellwire does at its start for those to come. */
async function makePartitions(databaseUrl: string, days: number): Promise<void> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  try {
    const pools = { pool, plannedOnce: pool, hearing: createHearingConnections() };
    const sql = createPoolSql(pools, () => new pg.Client({ connectionString: databaseUrl }));
    await ensurePartitions(sql, { now: Date.now(), daysBefore: days, daysAhead: 0 });
  } finally {
    await pool.end();
  }
}
