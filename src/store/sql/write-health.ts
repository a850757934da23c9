import type { Sql } from "../sql.ts";

/** What happened to one webhook since the last writing. Times in milliseconds since the epoch. */
export interface HealthChange {
  webhookId: string;
  lastSuccessAt: number | null;
  lastFailureAt: number | null;
  /** Failures since the last success in this change, or since the change began where it holds none. */
  failures: number;
  lastError: string;
  attempts: number;
  failedAttempts: number;
  /** Deliveries given up since the last success in this change, or since the change began where it holds none. */
  exhausted: number;
}

/** Adds changes to the webhooks' health, each webhook at most once. */
export async function writeHealth(sql: Sql, changes: readonly HealthChange[]): Promise<void> {
  await sql.query(statement, [
    changes.map((change) => change.webhookId),
    changes.map((change) => isoTime(change.lastSuccessAt)),
    changes.map((change) => isoTime(change.lastFailureAt)),
    changes.map((change) => change.failures),
    changes.map((change) => change.lastError),
    changes.map((change) => change.attempts),
    changes.map((change) => change.failedAttempts),
    changes.map((change) => change.exhausted),
  ]);
}

function isoTime(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

// Index: the primary keys. A success sets the count of failures to those after it; without one they add up. The rows are locked in the
// order of their ids, so that two processes never wait for each other in a ring; the webhooks stay until the end, so that none of them is
// deleted under its health.
const statement = {
  name: "write-health",
  text: `
    insert into webhook_health as h (webhook_id, last_success_at, last_failure_at, consecutive_failures, last_error, total_attempts,
                                     failed_attempts, consecutive_exhausted)
    select c.webhook_id, c.last_success_at, c.last_failure_at, c.failures, c.last_error, c.attempts, c.failed, c.exhausted
    from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::integer[], $5::text[], $6::bigint[], $7::bigint[], $8::integer[])
      as c (webhook_id, last_success_at, last_failure_at, failures, last_error, attempts, failed, exhausted)
    join webhook w on w.id = c.webhook_id
    order by c.webhook_id
    for key share of w
    on conflict (webhook_id) do update
    set last_success_at = greatest(h.last_success_at, excluded.last_success_at),
        last_failure_at = greatest(h.last_failure_at, excluded.last_failure_at),
        consecutive_failures = case when excluded.last_success_at is null then h.consecutive_failures else 0 end
                               + excluded.consecutive_failures,
        total_attempts = h.total_attempts + excluded.total_attempts,
        failed_attempts = h.failed_attempts + excluded.failed_attempts,
        consecutive_exhausted = case when excluded.last_success_at is null then h.consecutive_exhausted else 0 end
                                + excluded.consecutive_exhausted,
        last_error = case when excluded.last_failure_at is null then h.last_error else excluded.last_error end`,
};
