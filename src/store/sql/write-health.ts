import { RECOVERED_AFTER_FAILURES, webhookRecovered } from "../../domain/operational-event.ts";
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
    const webhooks = await transaction.query<WebhookRow>(lockWebhooks, [changes.map(({ webhookId }) => webhookId)]);
    const ids = webhooks.map(({ id }) => id);
    const before = await transaction.query<HealthRow>(lockHealth, [ids]);
    const known = new Set(ids);
    await upsertHealth(
      transaction,
      changes.filter(({ webhookId }) => known.has(webhookId)),
    );
    await tellRecovered(transaction, changes, { webhooks, before });
  });
}

interface WebhookRow {
  id: string;
  organizationId: string;
}

interface HealthRow {
  id: string;
  failures: number;
  failingSince: number | null;
}

async function upsertHealth(transaction: Sql, changes: readonly HealthChange[]): Promise<void> {
  await transaction.query(upsert, [
    changes.map((change) => change.webhookId),
    changes.map((change) => isoTime(change.lastSuccessAt)),
    changes.map((change) => isoTime(change.lastFailureAt)),
    changes.map((change) => change.failures),
    changes.map((change) => change.lastError),
    changes.map((change) => change.attempts),
    changes.map((change) => change.failedAttempts),
    changes.map((change) => change.exhausted),
    changes.map((change) => isoTime(change.failingSince)),
  ]);
}

async function tellRecovered(
  transaction: Sql,
  changes: readonly HealthChange[],
  { webhooks, before }: { webhooks: readonly WebhookRow[]; before: readonly HealthRow[] },
): Promise<void> {
  const organizationOf = new Map(webhooks.map(({ id, organizationId }) => [id, organizationId]));
  const healthOf = new Map(before.map((row) => [row.id, row]));
  const recovered = changes.flatMap(({ webhookId, lastSuccessAt: at, failuresBefore }) => {
    const organizationId = organizationOf.get(webhookId);
    const health = healthOf.get(webhookId);
    const failures = (health?.failures ?? 0) + failuresBefore;
    if (organizationId === undefined || at === null || failures < RECOVERED_AFTER_FAILURES) return [];
    return [webhookRecovered({ webhookId, organizationId, failures, failingSince: health?.failingSince ?? null, at })];
  });
  await insertOperationalEvents(transaction, recovered);
}

function isoTime(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

// Index: the primary keys of both. The rows are locked in the order of their ids, so that two processes never wait for each other in a ring,
// and the webhooks before their health, as whoever deletes one does: none is deleted under its health.
const lockWebhooks = {
  name: "lock-webhooks-for-health",
  text: `
    select id, organization_id as "organizationId" from webhook where id = any($1::uuid[])
    order by id
    for key share`,
};

const lockHealth = {
  name: "lock-health",
  text: `
    select webhook_id as id, consecutive_failures as failures, (extract(epoch from failing_since) * 1000)::float8 as "failingSince"
    from webhook_health where webhook_id = any($1::uuid[])
    order by webhook_id
    for no key update`,
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
