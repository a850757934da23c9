import { RECOVERED_AFTER_FAILURES, webhookRecovered } from "../../domain/operational-event.ts";
import { type BinaryArray, int4Array, int8Array, textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import type { Sql } from "../sql.ts";
import { insertOperationalEvents } from "./insert-operational-events.ts";

/** What happened to one webhook since the last writing. Times in milliseconds since the epoch. */
export interface HealthChange {
  webhookId: string;
  lastSuccessAt: number | null;
  lastFailureAt: number | null;
  /** Failures before the first success in this change; 0 where it holds none. */
  failuresBefore: number;
  /** Failures since the last success in this change, or since the change began where it holds none. */
  failures: number;
  /** The first of those; null where there are none. */
  failingSince: number | null;
  lastError: string;
  attempts: number;
  failedAttempts: number;
  /** Deliveries given up since the last success in this change, or since the change began where it holds none. */
  exhausted: number;
}

/**
 * Adds changes to the webhooks' health, each webhook at most once. Of one that succeeds again after many failures its organization is told, in
 * the same transaction; webhooks that are deleted are left out.
 */
export async function writeHealth(sql: Sql, changes: readonly HealthChange[]): Promise<void> {
  const left = await updateHealth(sql, changes);
  if (left.length > 0) {
    await sql.transaction((transaction) => writeWithWebhooks(transaction, left));
  }
}

/** Writes what only adds to a row that is there, and of which nobody is to be told. Returns the other changes, as a rule none. */
async function updateHealth(sql: Sql, changes: readonly HealthChange[]): Promise<readonly HealthChange[]> {
  const parameters = [
    ...columnsOf(changes),
    int4Array(changes, (change) => change.failuresBefore),
    RECOVERED_AFTER_FAILURES,
  ];
  const [some] = await sql.query<{ written: string[] | null }>(update, parameters);
  if (some === undefined) return [];
  const written = new Set(some.written);
  return changes.filter(({ webhookId }) => !written.has(webhookId));
}

/**
 * Writes changes of webhooks that recover, and of those that have no row, which a process of an earlier version may have created, and leaves out
 * those that are deleted.
 */
async function writeWithWebhooks(transaction: Sql, changes: readonly HealthChange[]): Promise<void> {
  const there = await withoutDeleted(transaction, changes);
  if (there.length === 0) return;
  const failing = await transaction.query<FailingRow>(lockHealth, [idsOf(there)]);
  await transaction.query(upsert, columnsOf(there));
  await tellRecovered(transaction, there, failing);
}

/** A webhook that had failed before the change. */
interface FailingRow {
  id: string;
  failures: number;
  failingSince: number | null;
}

/** What is left stays until the transaction ends. */
async function withoutDeleted(transaction: Sql, changes: readonly HealthChange[]): Promise<readonly HealthChange[]> {
  const rows = await transaction.query<{ id: string }>(lockWebhooks, [idsOf(changes)]);
  if (rows.length === 0) return changes;
  const deleted = new Set(rows.map(({ id }) => id));
  return changes.filter(({ webhookId }) => !deleted.has(webhookId));
}

function idsOf(changes: readonly HealthChange[]): BinaryArray {
  return uuidArray(changes, ({ webhookId }) => webhookId);
}

/** $1 to $9 of the statements that write. */
function columnsOf(changes: readonly HealthChange[]): readonly BinaryArray[] {
  return [
    idsOf(changes),
    timestamptzArray(changes, (change) => change.lastSuccessAt),
    timestamptzArray(changes, (change) => change.lastFailureAt),
    int4Array(changes, (change) => change.failures),
    textArray(changes, (change) => change.lastError),
    int8Array(changes, (change) => change.attempts),
    int8Array(changes, (change) => change.failedAttempts),
    int4Array(changes, (change) => change.exhausted),
    timestamptzArray(changes, (change) => change.failingSince),
  ];
}

async function tellRecovered(
  transaction: Sql,
  changes: readonly HealthChange[],
  failing: readonly FailingRow[],
): Promise<void> {
  const before = new Map(failing.map((row) => [row.id, row]));
  const recovered = changes.flatMap(({ webhookId, lastSuccessAt: at, failuresBefore }) => {
    const health = before.get(webhookId);
    const failures = (health?.failures ?? 0) + failuresBefore;
    const failingSince = health?.failingSince ?? null;
    if (at === null || at < (failingSince ?? at) || failures < RECOVERED_AFTER_FAILURES) return [];
    return [{ webhookId, failures, failingSince, at }];
  });
  if (recovered.length === 0) return;
  const rows = await transaction.query<{ id: string; organizationId: string }>(readOrganizations, [
    uuidArray(recovered, ({ webhookId }) => webhookId),
  ]);
  const organizationOf = new Map(rows.map(({ id, organizationId }) => [id, organizationId]));
  const events = recovered.flatMap((webhook) => {
    const organizationId = organizationOf.get(webhook.webhookId);
    return organizationId === undefined ? [] : [webhookRecovered({ ...webhook, organizationId })];
  });
  await insertOperationalEvents(transaction, events);
}

// Index: the primary keys of both. The rows are locked in the order of their ids, so that two processes never wait for each other in a ring,
// and the webhooks before their health, as whoever deletes one does: none is deleted under its health. Answers with those that are gone, as a
// rule none, where there may be thousands that are not.
const lockWebhooks = {
  name: "lock-webhooks-for-health",
  text: `
    select id from unnest($1::uuid[]) as changed (id)
    except
    select id from (select id from webhook where id = any($1::uuid[]) order by id for key share) as locked`,
};

// All are locked, and those that had failed are told of: nobody else adds a failure until the success that ends them is written.
const lockHealth = {
  name: "lock-health",
  text: `
    with locked as materialized (
      select webhook_id as id, consecutive_failures as failures, failing_since
      from webhook_health where webhook_id = any($1::uuid[])
      order by webhook_id
      for no key update
    )
    select id, failures, (extract(epoch from failing_since) * 1000)::float8 as "failingSince"
    from locked where failures > 0 or failing_since is not null`,
};

// Index: the primary key, of the few that have recovered.
const readOrganizations = {
  name: "organizations-of-webhooks",
  text: `select id, organization_id as "organizationId" from webhook where id = any($1::uuid[])`,
};

// A success sets the count of failures to those after it; without one they add up. One that was before them, of which another process tells late,
// ends nothing.
function write(changes: string): string {
  const endsFailures = "excluded.last_success_at >= coalesce(h.failing_since, '-infinity')";
  return `
    insert into webhook_health as h (webhook_id, last_success_at, last_failure_at, consecutive_failures, last_error, total_attempts,
                                     failed_attempts, consecutive_exhausted, failing_since)
    select c.webhook_id, c.last_success_at, c.last_failure_at, c.failures, c.last_error, c.attempts, c.failed, c.exhausted, c.failing_since
    from ${changes}
    order by c.webhook_id
    on conflict (webhook_id) do update
    set last_success_at = greatest(h.last_success_at, excluded.last_success_at),
        last_failure_at = greatest(h.last_failure_at, excluded.last_failure_at),
        consecutive_failures = case when ${endsFailures} then 0 else h.consecutive_failures end + excluded.consecutive_failures,
        failing_since = case when ${endsFailures} then excluded.failing_since else coalesce(h.failing_since, excluded.failing_since) end,
        total_attempts = h.total_attempts + excluded.total_attempts,
        failed_attempts = h.failed_attempts + excluded.failed_attempts,
        consecutive_exhausted = case when ${endsFailures} then 0 else h.consecutive_exhausted end + excluded.consecutive_exhausted,
        last_error = case when excluded.last_failure_at is null then h.last_error else excluded.last_error end`;
}

// Of the webhooks that were called, every second. Index: the primary key, twice for each change. The rows are locked in the order of their ids, so
// that two processes never wait for each other in a ring, and each before it is written: what is locked is not deleted, so that this
// inserts nothing, has no foreign key to check, and needs no lock on the webhook. It is an insert all the same, because an update would read the
// whole table wherever Postgres takes that for cheaper: 9 µs for each of 7,000 changes beside 100,000 rows, and 7 this way. Answers with the
// webhooks that it has written only where they are not all.
const update = {
  name: "update-health",
  text: `
    with written as (${write(`
      (
        select * from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[],
                             $8::integer[], $9::timestamptz[], $10::integer[])
          as n (webhook_id, last_success_at, last_failure_at, failures, last_error, attempts, failed, exhausted, failing_since,
                failures_before)
        order by webhook_id
      ) as c cross join lateral (
        select consecutive_failures as failures from webhook_health where webhook_id = c.webhook_id for no key update
      ) as before
      where c.last_success_at is null or before.failures + c.failures_before < $11`)}
      returning webhook_id
    )
    select array_agg(webhook_id)::text[] as written from written having count(*) < cardinality($1::uuid[])`,
};

// Index: the primary keys.
const upsert = {
  name: "write-health",
  text: write(`
      unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[], $8::integer[],
             $9::timestamptz[])
        as c (webhook_id, last_success_at, last_failure_at, failures, last_error, attempts, failed, exhausted, failing_since)`),
};
