import { byteaArray, float8Array, int4Array, textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import { isUniqueViolation } from "../is-unique-violation.ts";
import type { Sql, Statement } from "../sql.ts";
import { type Incarnation, presentIncarnation } from "./incarnation.ts";
import { type AttemptRecord, canBeHeld } from "./write-attempts.ts";
import { type DeliveryRecord, deliveryColumns } from "./write-deliveries.ts";

/** A delivery that its first attempt brought to the receiver, with that attempt. */
export interface DeliveredAtOnce {
  delivery: DeliveryRecord;
  attempt: AttemptRecord;
}

/** Whether this is all that there is to say of the delivery: what `recordDelivered` does not write follows from it. */
export function isDeliveredAtOnce({ delivery, attempt }: DeliveredAtOnce): boolean {
  return (
    delivery.status === "DELIVERED" &&
    delivery.statusReason === "" &&
    delivery.attemptCount === 1 &&
    delivery.lastStatusCode === attempt.statusCode &&
    delivery.orderingKey === null &&
    canBeHeld(attempt)
  );
}

/** What came of the writing. */
export interface RecordedDelivered {
  /** The ids of those that are written. */
  written: ReadonlySet<string>;
  /** In which incarnation; undefined where nothing is written, or it has no name. */
  incarnation: Incarnation | undefined;
}

/**
 * Writes deliveries that arrived at once: one row for each, which holds the attempt. Some are left to a transaction: what stands in
 * scheduled_delivery, and all of them where one was written before, by a statement whose answer was lost or by another process. Not for a transaction
 * itself, which a statement that fails would end.
 */
export async function recordDelivered(sql: Sql, records: readonly DeliveredAtOnce[]): Promise<RecordedDelivered> {
  if (records.length === 0) {
    return nothing;
  }
  try {
    const [row] = await sql.query<{ incarnation: Incarnation | null; waiting: string[] }>(record, valuesOf(records));
    const written = new Set(records.map(({ delivery }) => delivery.id));
    for (const id of row?.waiting ?? []) written.delete(id);
    return { written, incarnation: row?.incarnation ?? undefined };
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    return nothing;
  }
}

const nothing: RecordedDelivered = { written: new Set(), incarnation: undefined };

/** In the order of the ids, as everybody writes deliveries (`inOrderOfIds`). */
function valuesOf(records: readonly DeliveredAtOnce[]): unknown[] {
  const inOrder = records.toSorted(({ delivery: one }, { delivery: other }) => (one.id < other.id ? -1 : 1));
  return [
    uuidArray(inOrder, ({ delivery }) => delivery.id),
    uuidArray(inOrder, ({ delivery }) => delivery.organizationId),
    uuidArray(inOrder, ({ delivery }) => delivery.webhookId),
    uuidArray(inOrder, ({ delivery }) => delivery.eventId),
    textArray(inOrder, ({ delivery }) => delivery.eventType),
    timestamptzArray(inOrder, ({ delivery }) => delivery.createdAt),
    timestamptzArray(inOrder, ({ delivery }) => delivery.completedAt),
    uuidArray(inOrder, ({ attempt }) => attempt.id),
    timestamptzArray(inOrder, ({ attempt }) => attempt.startedAt),
    float8Array(inOrder, ({ attempt }) => attempt.latencyMs),
    int4Array(inOrder, ({ attempt }) => attempt.statusCode),
    byteaArray(inOrder, ({ attempt }) => attempt.responseBody),
    textArray(inOrder, ({ attempt }) => attempt.url),
  ];
}

// Cost: one round trip for each batch, where a transaction has five, and of each delivery a row and three index entries. No row is there as a rule,
// and an insert that expects none costs Postgres a quarter less. Index: the primary key of scheduled_delivery, a table that holds only what is
// still to be sent; it finds nothing as a rule. The arrays are taken apart in a select list, side by side: in a from clause Postgres would first
// keep the rows in memory, which costs a tenth more.
const record: Statement = {
  name: "record-delivered",
  plannedOnce: true,
  text: `
    with waiting as (
      select id from scheduled_delivery where id = any($1::uuid[])
    ), written as (
      insert into delivery (${deliveryColumns}, attempt_id, attempt_started_at, attempt_latency_ms, attempt_status_code,
                            attempt_response_body, attempt_url)
      select id, organization_id, webhook_id, event_id, event_type, 'DELIVERED', '', 1, status_code, created_at, completed_at,
             attempt_id, started_at, latency_ms, status_code, response_body, url
      from (
        select unnest($1::uuid[]) as id, unnest($2::uuid[]) as organization_id, unnest($3::uuid[]) as webhook_id,
               unnest($4::uuid[]) as event_id, unnest($5::text[]) as event_type, unnest($6::timestamptz[]) as created_at,
               unnest($7::timestamptz[]) as completed_at, unnest($8::uuid[]) as attempt_id, unnest($9::timestamptz[]) as started_at,
               unnest($10::float8[]) as latency_ms, unnest($11::integer[]) as status_code, unnest($12::bytea[]) as response_body,
               unnest($13::text[]) as url
      ) d
      where id <> all (array(select id from waiting))
    )
    select ${presentIncarnation} as incarnation, array(select id from waiting) as waiting`,
};
