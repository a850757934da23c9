import type { AttemptError, AttemptTrigger } from "../../domain/attempt.ts";
import { byteaArray, float8Array, int4Array, textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import type { Sql } from "../sql.ts";
import { attemptColumns } from "./stored-attempts.ts";
import type { DeliveryRecord } from "./write-deliveries.ts";

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

/** Writes attempts, each once, in a transaction; one that a row of delivery holds is written. Returns those of the deliveries that have an attempt which nobody wrote before. */
export async function writeAttempts(
  transaction: Sql,
  attempts: readonly AttemptRecord[],
  deliveries: readonly DeliveryRecord[],
): Promise<DeliveryRecord[]> {
  if (attempts.length === 0) {
    return [];
  }
  const asked = uuidArray(deliveries, ({ id }) => id);
  const rows = await transaction.query<{ delivery_id: string }>(insert, [...attemptValues(attempts), asked]);
  const isNew = new Set(rows.map((row) => row.delivery_id));
  return deliveries.filter(({ id }) => isNew.has(id));
}

/** Attempts as eleven arrays, one for each of `attemptColumns`. */
function attemptValues(attempts: readonly AttemptRecord[]): unknown[] {
  return [
    uuidArray(attempts, (attempt) => attempt.id),
    uuidArray(attempts, (attempt) => attempt.deliveryId),
    int4Array(attempts, (attempt) => attempt.number),
    textArray(attempts, (attempt) => attempt.trigger),
    timestamptzArray(attempts, (attempt) => attempt.startedAt),
    float8Array(attempts, (attempt) => attempt.latencyMs),
    int4Array(attempts, (attempt) => attempt.statusCode),
    textArray(attempts, (attempt) => attempt.error),
    textArray(attempts, (attempt) => attempt.errorMessage),
    byteaArray(attempts, (attempt) => attempt.responseBody),
    textArray(attempts, (attempt) => attempt.url),
  ];
}

// Cost: a row and two index entries for each attempt, and a look at its delivery by the primary key, in the partitions that the ids name. Returns
// the deliveries of those that are new, of the few that are asked for.
const insert = {
  name: "insert-attempts",
  text: `
    with inserted as (
      insert into attempt (${attemptColumns})
      select * from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::float8[], $7::integer[], $8::text[],
                           $9::text[], $10::bytea[], $11::text[]) as a (id, delivery_id)
      where not exists (select from delivery d where d.id = any($2::uuid[]) and d.id = a.delivery_id and d.attempt_id = a.id)
      on conflict (id) do nothing
      returning delivery_id
    )
    select delivery_id from inserted where delivery_id = any($12::uuid[])`,
};
