import { timeOfId } from "../../domain/ids.ts";
import type { Sql } from "../sql.ts";

/** A part of a webhook's deliveries that did not arrive: those after one id and before another, in the order of the ids. */
export interface DeliveryRange {
  webhookId: string;
  after: string;
  before: string;
}

/** A part that one step looks at: what of it failed, and where the next step begins. */
export interface FailedDeliveries {
  /** Failed deliveries whose events are kept. Tests are not among them: what was sent to try a receiver is not owed to it. */
  ids: string[];
  /** How many failed in all. */
  examined: number;
  /** The last delivery that was looked at; undefined where there was none. */
  last: string | undefined;
  /** There is nothing after it. */
  isEnd: boolean;
}

/** Looks at the first deliveries of the range: at most `maxLooked`, of which at most `maxFailed` failed ones. */
export async function failedDeliveries(
  sql: Sql,
  { webhookId, after, before }: DeliveryRange,
  { maxLooked, maxFailed }: { maxLooked: number; maxFailed: number },
): Promise<FailedDeliveries> {
  const [looked] = await sql.query<{ count: number; last: string | null }>(look, [webhookId, after, before, maxLooked]);
  if (looked === undefined || looked.last === null) return { ids: [], examined: 0, last: undefined, isEnd: true };
  // The events of these deliveries were received between the times of the ids: in one partition, or in two.
  const times = [after, looked.last].map((id, index) => new Date(timeOfId(id) + index).toISOString());
  const failed = await sql.query<FailedRow>(find, [webhookId, after, looked.last, maxFailed, ...times]);
  const isFull = failed.length === maxFailed;
  return {
    ids: failed.filter(({ canBeSent }) => canBeSent).map(({ id }) => id),
    examined: failed.length,
    last: isFull ? failed.at(-1)?.id : looked.last,
    isEnd: looked.count < maxLooked && !isFull,
  };
}

/** Moves finished deliveries of that status back to the scheduled ones, due now. Returns how many there were. */
export async function rescheduleMany(
  transaction: Sql,
  { ids, status, manualRetry, now }: Rescheduling,
): Promise<number> {
  if (ids.length === 0) return 0;
  const moved = await transaction.query(move, [ids, status, manualRetry, new Date(now).toISOString()]);
  return moved.length;
}

export interface Rescheduling {
  ids: readonly string[];
  status: "EXHAUSTED" | "CANCELLED";
  /** ONCE: one attempt more. Null: as the webhook's schedule has it. */
  manualRetry: "ONCE" | null;
  now: number;
}

interface FailedRow {
  id: string;
  canBeSent: boolean;
}

// Index: delivery_undelivered_webhook of the partitions in the range, from its place on: the cost is that of the entries read, however many
// deliveries there are.
const look = {
  name: "look-at-deliveries",
  text: `
    select count(*)::integer as count, (array_agg(id order by id desc))[1] as last
    from (
      select id from delivery
      where webhook_id = $1 and status <> 'DELIVERED' and id > $2::uuid and id < $3::uuid
      order by id
      limit $4
    ) looked`,
};

// The same entries once more, and the unique index of the event's partition for each that failed.
const find = {
  name: "find-failed-deliveries",
  text: `
    select d.id, coalesce(e.audience <> 'TEST', false) as "canBeSent"
    from delivery d
    left join event e on e.id = d.event_id and e.organization_id = d.organization_id and e.received_at = d.created_at
      and e.received_at >= $5::timestamptz and e.received_at <= $6::timestamptz
    where d.webhook_id = $1 and d.status = 'EXHAUSTED' and d.id > $2::uuid and d.id <= $3::uuid
    order by d.id
    limit $4`,
};

// Index: the primary keys. They go as they come, outside of any order. Rows of these statuses hold no attempt.
const move = {
  name: "reschedule-many",
  text: `
    with moved as (delete from delivery where id = any($1::uuid[]) and status = $2 returning *)
    insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                    manual_retry, last_status_code, created_at, ordering_key, sequence)
    select id, organization_id, webhook_id, event_id, event_type, attempt_count, $4::timestamptz, $3::text, last_status_code,
           created_at, null, null
    from moved
    on conflict (id) do nothing
    returning id`,
};
