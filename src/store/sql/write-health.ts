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
 * the same transaction.
 */
export async function writeHealth(sql: Sql, changes: readonly HealthChange[]): Promise<void> {
  await sql.transaction(async (transaction) => {
    const left = await withoutDeleted(transaction, changes);
    const failing = await transaction.query<FailingRow>(lockHealth, [idsOf(left)]);
    await upsertHealth(transaction, left);
    await tellRecovered(transaction, left, failing);
  });
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

async function upsertHealth(transaction: Sql, changes: readonly HealthChange[]): Promise<void> {
  await transaction.query(upsert, [
    idsOf(changes),
    timestamptzArray(changes, (change) => change.lastSuccessAt),
    timestamptzArray(changes, (change) => change.lastFailureAt),
    int4Array(changes, (change) => change.failures),
    textArray(changes, (change) => change.lastError),
    int8Array(changes, (change) => change.attempts),
    int8Array(changes, (change) => change.failedAttempts),
    int4Array(changes, (change) => change.exhausted),
    timestamptzArray(changes, (change) => change.failingSince),
  ]);
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
    if (at === null || failures < RECOVERED_AFTER_FAILURES) return [];
    return [{ webhookId, failures, failingSince: health?.failingSince ?? null, at }];
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

// Index: the primary keys. A success sets the count of failures to those after it; without one they add up.
const upsert = {
  name: "write-health",
  text: `
    insert into webhook_health as h (webhook_id, last_success_at, last_failure_at, consecutive_failures, last_error, total_attempts,
                                     failed_attempts, consecutive_exhausted, failing_since)
    select c.webhook_id, c.last_success_at, c.last_failure_at, c.failures, c.last_error, c.attempts, c.failed, c.exhausted, c.failing_since
    from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[], $8::integer[],
                $9::timestamptz[])
      as c (webhook_id, last_success_at, last_failure_at, failures, last_error, attempts, failed, exhausted, failing_since)
    order by c.webhook_id
    on conflict (webhook_id) do update
    set last_success_at = greatest(h.last_success_at, excluded.last_success_at),
        last_failure_at = greatest(h.last_failure_at, excluded.last_failure_at),
        consecutive_failures = case when excluded.last_success_at is null then h.consecutive_failures else 0 end
                               + excluded.consecutive_failures,
        failing_since = case when excluded.last_success_at is null then coalesce(h.failing_since, excluded.failing_since)
                             else excluded.failing_since end,
        total_attempts = h.total_attempts + excluded.total_attempts,
        failed_attempts = h.failed_attempts + excluded.failed_attempts,
        consecutive_exhausted = case when excluded.last_success_at is null then h.consecutive_exhausted else 0 end
                                + excluded.consecutive_exhausted,
        last_error = case when excluded.last_failure_at is null then h.last_error else excluded.last_error end`,
};
