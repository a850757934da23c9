import type { ManualRetry } from "../../domain/delivery.ts";
import type { WebhookStatus } from "../../domain/webhook.ts";
import type { Sql } from "../sql.ts";

/** A lane that this process may work on until its lease expires. */
export interface ClaimedLane {
  webhookId: string;
  /** Grows with each claim: who holds an older one has lost the lane. */
  fence: number;
  /** Null where the webhook is deleted. */
  organizationId: string | null;
  status: WebhookStatus | null;
}

/** Takes up to `limit` lanes that are due and that nobody holds, the longest due first. `now` in milliseconds since the epoch. */
export async function claimLanes(
  sql: Sql,
  { owner, now, limit, leaseMs }: { owner: string; now: number; limit: number; leaseMs: number },
): Promise<ClaimedLane[]> {
  return await sql.query<ClaimedLane>(claim, [owner, new Date(now).toISOString(), limit, leaseMs]);
}

/** Keeps the lanes for another lease, and returns the webhooks of those that are still held. */
export async function renewLanes(
  sql: Sql,
  { owner, webhookIds, leaseMs }: { owner: string; webhookIds: readonly string[]; leaseMs: number },
): Promise<Set<string>> {
  const rows = await sql.query<{ webhook_id: string }>(renew, [owner, webhookIds, leaseMs]);
  return new Set(rows.map((row) => row.webhook_id));
}

/** A scheduled delivery that is due, with its event; `dataJson` is null where the event's record is gone. */
export interface DueDelivery {
  id: string;
  organizationId: string;
  eventId: string;
  eventType: string;
  attemptCount: number;
  manualRetry: ManualRetry | null;
  createdAt: number;
  dataJson: string | null;
  externalId: string | null;
  source: string | null;
  subject: string | null;
  replayOf: string | null;
  occurredAt: number | null;
}

/** The next deliveries of a lane, in the order in which they are due. */
export async function dueDeliveries(
  sql: Sql,
  { webhookId, now, limit }: { webhookId: string; now: number; limit: number },
): Promise<DueDelivery[]> {
  return await sql.query<DueDelivery>(due, [webhookId, new Date(now).toISOString(), limit]);
}

/**
 * Gives a lane back: due again with the first of its scheduled deliveries, gone where there is none. With `hold`, it is due only when
 * somebody says so (a paused webhook). Returns when it is next due in milliseconds since the epoch; undefined where it is gone, was lost,
 * or is held.
 */
export async function releaseLane(
  sql: Sql,
  { webhookId, owner, fence, hold }: { webhookId: string; owner: string; fence: number; hold: boolean },
): Promise<number | undefined> {
  return await sql.transaction(async (transaction) => {
    // The row first, and the rest in statements after it, which see what was committed before: whoever adds a delivery or resumes the
    // webhook from here on waits for the row, and then sets its time.
    const [lane] = await transaction.query(lock, [webhookId, owner, fence]);
    if (lane === undefined) {
      return undefined;
    }
    const [released] = await transaction.query<{ due_at: number }>(release, [webhookId, hold]);
    await transaction.query(remove, [webhookId]);
    return released !== undefined && Number.isFinite(released.due_at) ? released.due_at : undefined;
  });
}

/** Cancels everything that waits for a webhook, for as long as the lane is held. */
export async function cancelWaiting(
  sql: Sql,
  { webhookId, reason, now }: { webhookId: string; reason: string; now: number },
): Promise<void> {
  await sql.query(cancel, [webhookId, reason, new Date(now).toISOString()]);
}

// Index: lane_due. One row for each webhook with scheduled deliveries, however many those are.
const claim = {
  name: "claim-lanes",
  text: `
    with due as (
      select webhook_id from lane
      where due_at <= $2::timestamptz and (lease_expires_at is null or lease_expires_at < now())
      order by due_at
      limit $3
      for update skip locked
    ), claimed as (
      update lane l
      set lease_owner = $1::uuid, lease_expires_at = now() + $4::integer * interval '1 millisecond', fence = l.fence + 1
      from due where l.webhook_id = due.webhook_id
      returning l.webhook_id, l.fence
    )
    select c.webhook_id as "webhookId", c.fence::float8 as fence, w.organization_id as "organizationId", w.status
    from claimed c left join webhook w on w.id = c.webhook_id`,
};

// Index: the primary key.
const renew = {
  name: "renew-lanes",
  text: `
    update lane set lease_expires_at = now() + $3::integer * interval '1 millisecond'
    where webhook_id = any($2::uuid[]) and lease_owner = $1::uuid
    returning webhook_id`,
};

// Index: delivery_due, and the event's primary key for each row.
const due = {
  name: "due-deliveries",
  text: `
    select d.id, d.organization_id as "organizationId", d.event_id as "eventId", d.event_type as "eventType",
           d.attempt_count as "attemptCount", d.manual_retry as "manualRetry",
           (extract(epoch from d.created_at) * 1000)::float8 as "createdAt",
           e.data_json as "dataJson", e.external_id as "externalId", e.source, e.subject,
           e.replay_of as "replayOf",
           (extract(epoch from e.occurred_at) * 1000)::float8 as "occurredAt"
    from delivery d
    left join event e on e.id = d.event_id and e.organization_id = d.organization_id
    where d.webhook_id = $1 and d.status = 'SCHEDULED' and d.next_attempt_at <= $2::timestamptz
    order by d.next_attempt_at, d.id
    limit $3`,
};

// Index: the primary key. The owner too, because the fence of a lane that was removed and made again begins anew.
const lock = {
  name: "lock-lane",
  text: "select webhook_id from lane where webhook_id = $1 and lease_owner = $2::uuid and fence = $3 for update",
};

// Index: delivery_due, its first entry. A lane with nothing scheduled is due at -infinity, and removed by the next statement. One whose
// webhook was disabled or deleted since the lane was claimed is due at once, so that what waits is cancelled. The hold counts only while the webhook
// is not active: it may have been resumed since the lane was claimed.
const release = {
  name: "release-lane",
  text: `
    update lane
    set lease_owner = null, lease_expires_at = null,
        due_at = case
          when next.at is null then '-infinity'
          when not exists (select from webhook where id = $1 and status <> 'DISABLED') then now()
          when $2::boolean and not exists (select from webhook where id = $1 and status = 'ACTIVE') then 'infinity'
          else next.at
        end
    from (select min(next_attempt_at) as at from delivery where webhook_id = $1 and status = 'SCHEDULED') next
    where webhook_id = $1
    returning extract(epoch from due_at)::float8 * 1000 as due_at`,
};

const remove = {
  name: "remove-lane",
  text: "delete from lane where webhook_id = $1 and due_at = '-infinity'",
};

// Index: delivery_due.
const cancel = {
  name: "cancel-waiting",
  text: `
    update delivery
    set status = 'CANCELLED', status_reason = $2, next_attempt_at = null, completed_at = $3::timestamptz
    where webhook_id = $1 and status = 'SCHEDULED'`,
};
