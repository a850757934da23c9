import type { DeliveryStatus, ManualRetry } from "../../domain/delivery.ts";
import { int4Array, int8Array, textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import type { Sql } from "../sql.ts";
import type { Incarnation } from "./incarnation.ts";

/**
 * A delivery as it stands after an attempt, or without one where it is handed to its lane. Times in milliseconds since the epoch. Where it is
 * SCHEDULED, `nextAttemptAt` is when; Infinity: when it is its turn. Where it is not, `completedAt` says since when.
 */
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
  /** When its event was received: the id begins with it. */
  createdAt: number;
  completedAt: number | null;
  /** Null unless the webhook is ordered and the event has a key. */
  orderingKey: string | null;
  /** The event's place in the broker's order. */
  sequence: number | null;
  /** The incarnation of the database with which the event may be lost; undefined where it outlives a crash. */
  eventIn?: Incarnation | undefined;
}

/** What the writing of deliveries came to. */
export interface WrittenDeliveries {
  /** Those of the records that took effect and are still to be sent. */
  scheduled: readonly DeliveryRecord[];
  /** Those of the records that took effect and are finished. */
  finished: readonly DeliveryRecord[];
  /** The ids of those that this writing gave up: none that was given up, or finished otherwise, before. */
  exhausted: ReadonlySet<string>;
}

/**
 * Writes deliveries, each at most once, in a transaction: what is finished goes to delivery and leaves scheduled_delivery, the rest stands in
 * scheduled_delivery. A delivery that is finished or cancelled is never brought back, and counts only go up. An older attempt's failure never
 * undoes a newer attempt's word. A success that is written a second time, after a commit of which nobody knows, takes no retry away that was
 * asked for meanwhile.
 */
export async function writeDeliveries(
  transaction: Sql,
  records: readonly DeliveryRecord[],
): Promise<WrittenDeliveries> {
  if (records.length === 0) {
    return { scheduled: [], finished: [], exhausted: new Set() };
  }
  const inOrder = inOrderOfIds(records);
  const waiting = await lockWaiting(transaction, inOrder);
  await moveForward(transaction, inOrder, waiting);
  const effective = inOrder.flatMap((record) => effectOf(record, waiting.get(record.id)) ?? []);
  const scheduled = effective.filter(({ status }) => status === "SCHEDULED");
  const finished = effective.filter(({ status }) => status !== "SCHEDULED");
  await removeScheduled(
    transaction,
    finished.filter(({ id }) => waiting.has(id)),
  );
  const exhausted = await insertFinished(transaction, finished);
  return { finished, exhausted, scheduled: await upsertScheduled(transaction, scheduled) };
}

/**
 * Rows are locked and written in one order by everybody, so that two recorders with the same deliveries, which two processes may have, never wait for
 * each other in a ring. The ids begin with the time: a batch is nearly in this order before.
 */
function inOrderOfIds(records: readonly DeliveryRecord[]): DeliveryRecord[] {
  return records.toSorted(({ id: one }, { id: other }) => (one < other ? -1 : 1));
}

/** What stands in scheduled_delivery of the records. */
interface Waiting {
  id: string;
  attempt_count: number;
  manual_retry: ManualRetry | null;
  sequence: number | null;
}

async function lockWaiting(sql: Sql, records: readonly DeliveryRecord[]): Promise<Map<string, Waiting>> {
  const rows = await sql.query<Waiting>(lock, [uuidArray(records, ({ id }) => id)]);
  return new Map(rows.map((row) => [row.id, row]));
}

/**
 * An event that was published several times has several places in the broker's order, of which the first counts: whoever has a later one may have
 * recorded the delivery before.
 */
async function moveForward(
  sql: Sql,
  records: readonly DeliveryRecord[],
  waiting: ReadonlyMap<string, Waiting>,
): Promise<void> {
  const earlier = records.filter(
    ({ id, sequence }) => sequence !== null && sequence < (waiting.get(id)?.sequence ?? 0),
  );
  if (earlier.length > 0) {
    await sql.query(lowerSequence, [
      uuidArray(earlier, ({ id }) => id),
      int8Array(earlier, ({ sequence }) => sequence),
    ]);
  }
}

/** The record as it is to be written; undefined where what waits is newer. */
function effectOf(record: DeliveryRecord, waiting: Waiting | undefined): DeliveryRecord | undefined {
  if (waiting === undefined || waiting.attempt_count < record.attemptCount) {
    return record;
  }
  return record.status === "DELIVERED" && waiting.manual_retry !== "ONCE"
    ? { ...record, attemptCount: waiting.attempt_count }
    : undefined;
}

async function removeScheduled(sql: Sql, records: readonly DeliveryRecord[]): Promise<void> {
  if (records.length > 0) {
    await sql.query(remove, [uuidArray(records, ({ id }) => id)]);
  }
}

/** Returns the ids of those that are given up now. */
async function insertFinished(sql: Sql, records: readonly DeliveryRecord[]): Promise<Set<string>> {
  if (records.length === 0) {
    return new Set();
  }
  const exhausted = await sql.query<{ id: string }>(insert, deliveryValues(records));
  return new Set(exhausted.map(({ id }) => id));
}

/** Finished deliveries as eleven arrays, one for each of `deliveryColumns`. */
function deliveryValues(records: readonly DeliveryRecord[]): unknown[] {
  return [
    uuidArray(records, (record) => record.id),
    uuidArray(records, (record) => record.organizationId),
    uuidArray(records, (record) => record.webhookId),
    uuidArray(records, (record) => record.eventId),
    textArray(records, (record) => record.eventType),
    textArray(records, (record) => record.status),
    textArray(records, (record) => record.statusReason),
    int4Array(records, (record) => record.attemptCount),
    int4Array(records, (record) => record.lastStatusCode),
    timestamptzArray(records, (record) => record.createdAt),
    timestamptzArray(records, (record) => record.completedAt),
  ];
}

/** What an insert of finished deliveries names. */
export const deliveryColumns =
  "id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count, last_status_code, created_at, completed_at";

/** Returns those that are scheduled now. */
async function upsertScheduled(sql: Sql, records: readonly DeliveryRecord[]): Promise<DeliveryRecord[]> {
  if (records.length === 0) {
    return [];
  }
  const ids = uuidArray(records, (record) => record.id);
  const counts = int4Array(records, (record) => record.attemptCount);
  const statusCodes = int4Array(records, (record) => record.lastStatusCode);
  await sql.query(schedule, [
    ids,
    uuidArray(records, (record) => record.organizationId),
    uuidArray(records, (record) => record.webhookId),
    uuidArray(records, (record) => record.eventId),
    textArray(records, (record) => record.eventType),
    counts,
    timestamptzArray(records, (record) => record.nextAttemptAt),
    statusCodes,
    timestamptzArray(records, (record) => record.createdAt),
    textArray(records, (record) => record.orderingKey),
    int8Array(records, (record) => record.sequence),
  ]);
  const rows = await sql.query<{ id: string }>(removeFinished, [ids, counts, statusCodes]);
  const finished = new Set(rows.map(({ id }) => id));
  return records.filter(({ id }) => !finished.has(id));
}

// Index: the primary key, of a table that holds only what is still to be sent. For deliveries that succeed at once it finds nothing.
const lock = {
  name: "lock-scheduled-deliveries",
  text: `
    select id, attempt_count, manual_retry, sequence::float8 as sequence
    from scheduled_delivery where id = any($1::uuid[]) order by id for update`,
};

// Index: the primary key, of rows that are locked.
const lowerSequence = {
  name: "lower-sequence",
  text: `
    update scheduled_delivery s set sequence = e.sequence
    from unnest($1::uuid[], $2::bigint[]) as e (id, sequence)
    where s.id = e.id and s.ordering_key is not null`,
};

const remove = {
  name: "remove-scheduled-deliveries",
  text: "delete from scheduled_delivery where id = any($1::uuid[])",
};

// Cost: a row and three index entries for each delivery, one statement for each batch. What was finished before keeps its word, and only its
// count goes up: a delivery that was cancelled while its last attempt was under way.
const insert = {
  name: "insert-deliveries",
  text: `
    with written as (
      insert into delivery as d (${deliveryColumns})
      select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::integer[],
                           $9::integer[], $10::timestamptz[], $11::timestamptz[])
      on conflict (id) do update
      set attempt_count = excluded.attempt_count, last_status_code = excluded.last_status_code
      where d.attempt_count < excluded.attempt_count
      returning id, status
    )
    select id from written where status = 'EXHAUSTED'`,
};

// A conflict is an attempt after the first, or a hand-over by two processes.
const schedule = {
  name: "upsert-scheduled-deliveries",
  text: `
    insert into scheduled_delivery as s (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                         last_status_code, created_at, ordering_key, sequence)
    select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::timestamptz[],
                         $8::integer[], $9::timestamptz[], $10::text[], $11::bigint[])
    on conflict (id) do update
    set attempt_count = excluded.attempt_count, next_attempt_at = excluded.next_attempt_at,
        last_status_code = excluded.last_status_code, manual_retry = null
    where s.attempt_count < excluded.attempt_count`,
};

// Index: the primary key of the few partitions that the ids name. After the upsert, because that one may have waited for a transaction that
// cancelled the delivery, which a statement of its own sees.
const removeFinished = {
  name: "remove-finished-from-scheduled",
  text: `
    with finished as (
      select id from delivery where id = any($1::uuid[])
    ), removed as (
      delete from scheduled_delivery where id in (select id from finished)
    ), counted as (
      update delivery d set attempt_count = w.attempt_count, last_status_code = w.last_status_code
      from unnest($1::uuid[], $2::integer[], $3::integer[]) as w (id, attempt_count, last_status_code)
      where d.id = any($1::uuid[]) and d.id = w.id and d.attempt_count < w.attempt_count
    )
    select id from finished`,
};
