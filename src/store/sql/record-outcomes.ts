import type { AttemptError, AttemptTrigger } from "../../domain/attempt.ts";
import type { DeliveryStatus } from "../../domain/delivery.ts";
import type { Sql } from "../sql.ts";

/** A delivery as it stands after an attempt, or without one where it is handed to its lane. Times in milliseconds since the epoch. */
export interface DeliveryRecord {
  id: string;
  organizationId: string;
  webhookId: string;
  eventId: string;
  eventType: string;
  status: DeliveryStatus;
  statusReason: string;
  attemptCount: number;
  nextAttemptAt: number | null;
  lastStatusCode: number;
  createdAt: number;
  completedAt: number | null;
}

/** One request to a receiver. Times in milliseconds since the epoch. */
export interface AttemptRecord {
  id: string;
  deliveryId: string;
  number: number;
  trigger: AttemptTrigger;
  startedAt: number;
  latencyMs: number;
  statusCode: number;
  error: AttemptError | null;
  errorMessage: string;
  responseBody: Uint8Array;
  url: string;
}

/** A webhook that is to be disabled. */
export interface Disabling {
  webhookId: string;
  organizationId: string;
  reason: string;
  /** Only if this many deliveries, the newest finished ones, are all exhausted. 0 or 1: in any case. */
  afterExhausted: number;
}

export interface OutcomeBatch {
  /** Each delivery at most once. */
  deliveries: readonly DeliveryRecord[];
  attempts: readonly AttemptRecord[];
  disablings: readonly Disabling[];
}

/** Writes a batch of outcomes in one transaction: deliveries, attempts, the lanes of what is still due, and what a 410 disables. */
export async function recordOutcomes(sql: Sql, batch: OutcomeBatch): Promise<void> {
  await sql.transaction(async (transaction) => {
    await writeDeliveries(transaction, batch.deliveries);
    await writeAttempts(transaction, batch.attempts);
    await writeLanes(transaction, batch.deliveries);
    for (const { webhookId, organizationId, reason, afterExhausted } of batch.disablings) {
      await transaction.query(disableWebhook, [webhookId, reason, organizationId, afterExhausted]);
    }
  });
}

async function writeDeliveries(sql: Sql, deliveries: readonly DeliveryRecord[]): Promise<void> {
  if (deliveries.length === 0) {
    return;
  }
  await sql.query(upsertDeliveries, [
    deliveries.map((delivery) => delivery.id),
    deliveries.map((delivery) => delivery.organizationId),
    deliveries.map((delivery) => delivery.webhookId),
    deliveries.map((delivery) => delivery.eventId),
    deliveries.map((delivery) => delivery.eventType),
    deliveries.map((delivery) => delivery.status),
    deliveries.map((delivery) => delivery.statusReason),
    deliveries.map((delivery) => delivery.attemptCount),
    deliveries.map((delivery) => isoTime(delivery.nextAttemptAt)),
    deliveries.map((delivery) => delivery.lastStatusCode),
    deliveries.map((delivery) => isoTime(delivery.createdAt)),
    deliveries.map((delivery) => isoTime(delivery.completedAt)),
  ]);
}

async function writeAttempts(sql: Sql, attempts: readonly AttemptRecord[]): Promise<void> {
  if (attempts.length === 0) {
    return;
  }
  await sql.query(insertAttempts, [
    attempts.map((attempt) => attempt.id),
    attempts.map((attempt) => attempt.deliveryId),
    attempts.map((attempt) => attempt.number),
    attempts.map((attempt) => attempt.trigger),
    attempts.map((attempt) => isoTime(attempt.startedAt)),
    attempts.map((attempt) => attempt.latencyMs),
    attempts.map((attempt) => attempt.statusCode),
    attempts.map((attempt) => attempt.error),
    attempts.map((attempt) => attempt.errorMessage),
    attempts.map((attempt) => attempt.responseBody),
    attempts.map((attempt) => attempt.url),
  ]);
}

/** A lane is due when the first of its deliveries is. In the order of the ids, so that two recorders never wait for each other in a ring. */
async function writeLanes(sql: Sql, deliveries: readonly DeliveryRecord[]): Promise<void> {
  const dueAt = new Map<string, number>();
  for (const { webhookId, nextAttemptAt } of deliveries) {
    if (nextAttemptAt !== null) {
      dueAt.set(webhookId, Math.min(nextAttemptAt, dueAt.get(webhookId) ?? Number.POSITIVE_INFINITY));
    }
  }
  if (dueAt.size === 0) {
    return;
  }
  const lanes = [...dueAt].sort(([one], [other]) => (one < other ? -1 : 1));
  await sql.query(upsertLanes, [lanes.map(([webhookId]) => webhookId), lanes.map(([, time]) => isoTime(time))]);
}

function isoTime(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}

// Cost: happy deliveries are plain inserts, a row and four index entries each. A conflict is an attempt after the first: it never brings
// a cancelled delivery back, and an older attempt's failure never undoes a newer attempt's word. A success that is written a second time, after
// a commit of which nobody knows, takes no retry away that was asked for meanwhile.
const upsertDeliveries = {
  name: "upsert-deliveries",
  text: `
    insert into delivery as d (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
                               next_attempt_at, last_status_code, created_at, completed_at)
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::integer[],
                         $9::timestamptz[], $10::integer[], $11::timestamptz[], $12::timestamptz[])
    on conflict (id) do update
    set status = case when d.status = 'SCHEDULED' then excluded.status else d.status end,
        status_reason = case when d.status = 'SCHEDULED' then excluded.status_reason else d.status_reason end,
        next_attempt_at = case when d.status = 'SCHEDULED' then excluded.next_attempt_at else d.next_attempt_at end,
        completed_at = case when d.status = 'SCHEDULED' then excluded.completed_at else d.completed_at end,
        manual_retry = null,
        attempt_count = greatest(d.attempt_count, excluded.attempt_count),
        last_status_code = excluded.last_status_code
    where d.attempt_count < excluded.attempt_count
       or (excluded.status = 'DELIVERED' and d.status = 'SCHEDULED' and d.manual_retry is distinct from 'ONCE')`,
};

const insertAttempts = {
  name: "insert-attempts",
  text: `
    insert into attempt (id, delivery_id, number, trigger, started_at, latency_ms, status_code, error, error_message, response_body, url)
    select * from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::float8[], $7::integer[], $8::text[],
                         $9::text[], $10::bytea[], $11::text[])
    on conflict (id) do nothing`,
};

const upsertLanes = {
  name: "upsert-lanes",
  text: `
    insert into lane as l (webhook_id, due_at)
    select * from unnest($1::uuid[], $2::timestamptz[])
    on conflict (webhook_id) do update set due_at = excluded.due_at where excluded.due_at < l.due_at`,
};

// One row by its key, and as many entries of delivery_webhook as the count asks for. The engine of every process hears of it. The lane
// becomes due, and cancels what waits. Deliveries from before the webhook was last activated, or its count set back, do not count.
const disableWebhook = {
  name: "disable-webhook",
  text: `
    with disabled as (
      update webhook set status = 'DISABLED', status_reason = $2, version = version + 1, updated_at = now()
      where id = $1 and status = 'ACTIVE' and ($4::integer <= 1 or $4::integer = (
        select count(*) filter (where newest.status = 'EXHAUSTED') from (
          select d.status from delivery d
          where d.webhook_id = $1 and d.status in ('DELIVERED', 'EXHAUSTED') and d.completed_at >=
            greatest(webhook.active_since, (select h.exhausted_since from webhook_health h where h.webhook_id = $1))
          order by d.created_at desc, d.id desc
          limit $4::integer
        ) newest
      ))
      returning id
    ), woken as (
      update lane set due_at = now() where webhook_id in (select id from disabled)
    )
    select pg_notify('tellwire_webhooks', $3::text) from disabled`,
};
