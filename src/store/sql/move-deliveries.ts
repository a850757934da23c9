import type { Sql } from "../sql.ts";
import { attemptColumns, heldAttemptColumns } from "./stored-attempts.ts";

/** Moves a scheduled delivery to the finished ones as CANCELLED. Call it with the delivery's row locked. */
export async function cancelScheduled(
  transaction: Sql,
  { id, reason, now }: { id: string; reason: string; now: number },
): Promise<void> {
  await transaction.query(cancel, [id, reason, new Date(now).toISOString()]);
}

/**
 * Moves a finished delivery back to the scheduled ones, for one attempt more, now. It has no turn any more: it goes as it comes. The attempt
 * that its row holds stands by itself from then on. Call it with the delivery's row locked.
 */
export async function rescheduleFinished(transaction: Sql, { id, now }: { id: string; now: number }): Promise<void> {
  await transaction.query(reschedule, [id, new Date(now).toISOString()]);
}

/**
 * Makes a scheduled delivery due now, and takes down that somebody asked for it. One that was to be sent once more still is, and nothing beyond
 * that; one that waits for its turn goes on waiting. Call it with the delivery's row locked.
 */
export async function hastenScheduled(transaction: Sql, { id, now }: { id: string; now: number }): Promise<void> {
  await transaction.query(hasten, [id, new Date(now).toISOString()]);
}

// Index: the primary keys, one row each.
const cancel = {
  name: "cancel-scheduled",
  text: `
    with moved as (delete from scheduled_delivery where id = $1::uuid returning *)
    insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
                          last_status_code, created_at, completed_at)
    select id, organization_id, webhook_id, event_id, event_type, 'CANCELLED', $2::text, attempt_count,
           last_status_code, created_at, $3::timestamptz
    from moved`,
};

const reschedule = {
  name: "reschedule-finished",
  text: `
    with moved as (
      delete from delivery where id = $1::uuid returning *
    ), kept as (
      insert into attempt (${attemptColumns})
      select ${heldAttemptColumns} from moved where attempt_id is not null
      on conflict (id) do nothing
    )
    insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                    manual_retry, last_status_code, created_at, ordering_key, sequence)
    select id, organization_id, webhook_id, event_id, event_type, attempt_count, $2::timestamptz,
           'ONCE', last_status_code, created_at, null, null
    from moved`,
};

const hasten = {
  name: "hasten-scheduled",
  text: `
    update scheduled_delivery set next_attempt_at = $2::timestamptz, manual_retry = coalesce(manual_retry, 'NOW')
    where id = $1::uuid and next_attempt_at < 'infinity'`,
};
