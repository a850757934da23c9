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

/**
 * Whether a row of delivery can hold the attempt: it is the one that brought the delivery to its receiver, and what such a row does not say of it is
 * the same for all.
 */
export function canBeHeld({ number, trigger, error, errorMessage }: AttemptRecord): boolean {
  return number === 1 && trigger === "SCHEDULE" && error === null && errorMessage === "";
}

/**
 * Writes attempts, each once, in a transaction, after their deliveries. Returns those of the deliveries that have an attempt which nobody wrote
 * before.
 */
export async function writeAttempts(
  transaction: Sql,
  attempts: readonly AttemptRecord[],
  deliveries: readonly DeliveryRecord[],
): Promise<DeliveryRecord[]> {
  const held = await heldAttempts(transaction, attempts.filter(canBeHeld));
  const unwritten = attempts.filter(({ id }) => !held.has(id));
  if (unwritten.length === 0) {
    return [];
  }
  const asked = uuidArray(deliveries, ({ id }) => id);
  const rows = await transaction.query<{ delivery_id: string }>(insert, [...attemptValues(unwritten), asked]);
  const isNew = new Set(rows.map((row) => row.delivery_id));
  return deliveries.filter(({ id }) => isNew.has(id));
}

/** The ids of those that rows of delivery hold: they were written by `recordDelivered` before. */
async function heldAttempts(sql: Sql, attempts: readonly AttemptRecord[]): Promise<Set<string>> {
  if (attempts.length === 0) {
    return new Set();
  }
  const ids = uuidArray(attempts, ({ id }) => id);
  const rows = await sql.query<{ id: string }>(findHeld, [uuidArray(attempts, ({ deliveryId }) => deliveryId), ids]);
  return new Set(rows.map(({ id }) => id));
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

// Index: the primary key of delivery, in the few partitions that the ids name.
const findHeld = {
  name: "find-held-attempts",
  text: "select attempt_id as id from delivery where id = any($1::uuid[]) and attempt_id = any($2::uuid[])",
};

// Cost: a row and two index entries for each attempt. Returns the deliveries of those that are new, of the few that are asked for.
const insert = {
  name: "insert-attempts",
  text: `
    with inserted as (
      insert into attempt (${attemptColumns})
      select * from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::float8[], $7::integer[], $8::text[],
                           $9::text[], $10::bytea[], $11::text[])
      on conflict (id) do nothing
      returning delivery_id
    )
    select delivery_id from inserted where delivery_id = any($12::uuid[])`,
};
