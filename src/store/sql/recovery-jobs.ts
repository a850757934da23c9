import type { RecoveryScope } from "../../domain/recovery.ts";
import type { WebhookStatus } from "../../domain/webhook.ts";
import type { Sql } from "../sql.ts";

/** A running recovery whose next step is due, and its webhook. Times in milliseconds since the epoch. */
export interface RecoveryJob {
  id: string;
  organizationId: string;
  webhookId: string;
  scope: RecoveryScope;
  since: number;
  until: number;
  /** As exact as the database has it: a timestamptz as text. */
  cursorTime: string | null;
  cursorId: string | null;
  /** Null where the webhook is deleted; so are the two lists. */
  webhookStatus: WebhookStatus | null;
  eventTypes: string[] | null;
  projectIds: string[] | null;
}

/**
 * The recovery that has waited longest for its step, locked until the transaction ends: nobody else takes it meanwhile, and after a crash it is
 * free at once. Undefined where none is due.
 */
export async function lockDueRecovery(transaction: Sql, now: number): Promise<RecoveryJob | undefined> {
  const [job] = await transaction.query<RecoveryJob>(lockDue, [isoTime(now)]);
  return job;
}

/** How far a step came. */
export interface RecoveryStep {
  cursorTime: string | null;
  cursorId: string | null;
  examined: number;
  resent: number;
}

/** Counts a step, in the transaction of what it did. The next one is due now, after those of other jobs. */
export async function advanceRecovery(
  transaction: Sql,
  id: string,
  { step, now }: { step: RecoveryStep; now: number },
): Promise<void> {
  const { cursorTime, cursorId, examined, resent } = step;
  const parameters = [id, cursorTime, cursorId, examined, resent, isoTime(now)];
  await transaction.query(advance, parameters);
}

/** Leaves the job as it is until `dueAt`, and says why. */
export async function restRecovery(
  transaction: Sql,
  id: string,
  { reason, dueAt }: { reason: string; dueAt: number },
): Promise<void> {
  await transaction.query(rest, [id, reason, isoTime(dueAt)]);
}

/** Ends the job. */
export async function endRecovery(
  transaction: Sql,
  id: string,
  { status, reason, now }: { status: "COMPLETED" | "FAILED"; reason: string; now: number },
): Promise<void> {
  await transaction.query(end, [id, status, reason, isoTime(now)]);
}

/** How many of the webhook's deliveries are due and wait, counted up to the limit. */
export async function countDue(
  sql: Sql,
  { webhookId, now, limit }: { webhookId: string; now: number; limit: number },
): Promise<number> {
  const [row] = await sql.query<{ count: number }>(count, [webhookId, isoTime(now), limit]);
  return row?.count ?? 0;
}

/** Makes the webhook's lane due now, after what it is due for was written. The lane workers of every process hear of it. */
export async function makeRecoveredLaneDue(transaction: Sql, webhookId: string): Promise<void> {
  await transaction.query(laneDue, [webhookId]);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

// Index: recovery_due, which holds running recoveries alone.
const lockDue = {
  name: "lock-due-recovery",
  text: `
    select r.id, r.organization_id as "organizationId", r.webhook_id as "webhookId", r.scope,
           (extract(epoch from r.since) * 1000)::float8 as since, (extract(epoch from r.until) * 1000)::float8 as until,
           r.cursor_time::text as "cursorTime", r.cursor_id as "cursorId",
           w.status as "webhookStatus", w.event_types as "eventTypes", w.project_ids as "projectIds"
    from recovery r left join webhook w on w.id = r.webhook_id
    where r.status = 'RUNNING' and r.due_at <= $1::timestamptz
    order by r.due_at
    limit 1
    for update of r skip locked`,
};

const advance = {
  name: "advance-recovery",
  text: `
    update recovery
    set cursor_time = $2::timestamptz, cursor_id = $3::uuid, examined = examined + $4::bigint, resent = resent + $5::bigint,
        status_reason = '', updated_at = $6::timestamptz, due_at = $6::timestamptz
    where id = $1`,
};

const rest = {
  name: "rest-recovery",
  text: "update recovery set status_reason = $2, due_at = $3::timestamptz where id = $1",
};

const end = {
  name: "end-recovery",
  text: `
    update recovery
    set status = $2, status_reason = $3, updated_at = $4::timestamptz, completed_at = $4::timestamptz
    where id = $1`,
};

// Index: scheduled_delivery_due, as many entries as the limit.
const count = {
  name: "count-due-deliveries",
  text: `
    select count(*)::integer as count
    from (select from scheduled_delivery where webhook_id = $1 and next_attempt_at <= $2::timestamptz limit $3) due`,
};

const laneDue = {
  name: "make-recovered-lane-due",
  text: `
    with due as (
      insert into lane (webhook_id, due_at) values ($1::uuid, now())
      on conflict (webhook_id) do update set due_at = least(lane.due_at, excluded.due_at)
      returning webhook_id
    )
    select pg_notify('tellwire_lanes', '') from due`,
};
