import type { Sql, Statement } from "../sql.ts";
import { type AttemptRecord, attemptColumns, attemptValues } from "./write-attempts.ts";
import { type DeliveryRecord, deliveryColumns, deliveryValues, inOrderOfIds } from "./write-deliveries.ts";

/**
 * Writes deliveries and their attempts in one statement, as `writeDeliveries` and `writeAttempts` do, where nothing else has to be written with
 * them. Leaves out those that stand in scheduled_delivery, and returns their ids. Not for a transaction, which a statement that fails would end.
 */
export async function recordDelivered(
  sql: Sql,
  { deliveries, attempts }: { deliveries: readonly DeliveryRecord[]; attempts: readonly AttemptRecord[] },
): Promise<ReadonlySet<string>> {
  if (deliveries.length === 0) {
    return new Set();
  }
  const values = [...deliveryValues(inOrderOfIds(deliveries)), ...attemptValues(attempts)];
  const waiting = await sql.query<{ id: string }>(record, values).catch((error) => {
    if (!isUniqueViolation(error)) throw error;
    return sql.query<{ id: string }>(recordAgain, values);
  });
  return new Set(waiting.map(({ id }) => id));
}

/** SQLSTATE unique_violation. */
function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "23505";
}

/**
 * Cost: one round trip for each batch, where a transaction has five. Index: the primary key of scheduled_delivery, a table that holds only what
 * is still to be sent. It finds nothing as a rule.
 */
function statement(name: string, onConflict: { delivery: string; attempt: string }) {
  const text = `
    with waiting as (
      select id from scheduled_delivery where id = any($1::uuid[])
    ), written as (
      insert into delivery as d (${deliveryColumns})
      select f.* from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::integer[],
                             $9::integer[], $10::timestamptz[], $11::timestamptz[]) as f (id)
      where f.id <> all (array(select id from waiting))
      ${onConflict.delivery}
    ), attempted as (
      insert into attempt (${attemptColumns})
      select a.* from unnest($12::uuid[], $13::uuid[], $14::integer[], $15::text[], $16::timestamptz[], $17::float8[], $18::integer[],
                             $19::text[], $20::text[], $21::bytea[], $22::text[]) as a (id, delivery_id)
      where a.delivery_id <> all (array(select id from waiting))
      ${onConflict.attempt}
    )
    select id from waiting`;
  return { name, text };
}

// None of the rows is there as a rule, and an insert that expects none costs Postgres a quarter less.
const record: Statement = { ...statement("record-delivered", { delivery: "", attempt: "" }), plannedOnce: true };

// For a batch of which some were written before, by a statement whose answer was lost or by another process.
const recordAgain = statement("record-delivered-again", {
  delivery: `
      on conflict (id) do update
      set attempt_count = excluded.attempt_count, last_status_code = excluded.last_status_code
      where d.attempt_count < excluded.attempt_count`,
  attempt: "on conflict (id) do nothing",
});
