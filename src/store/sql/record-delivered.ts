import type { Sql } from "../sql.ts";
import { type AttemptRecord, attemptColumns, attemptValues } from "./write-attempts.ts";
import { type DeliveryRecord, deliveryColumns, deliveryValues, inOrderOfIds } from "./write-deliveries.ts";

/**
 * Writes deliveries and their attempts in one statement, as `writeDeliveries` and `writeAttempts` do, where nothing else has to be written with
 * them. Leaves out those that stand in scheduled_delivery, and returns their ids.
 */
export async function recordDelivered(
  sql: Sql,
  { deliveries, attempts }: { deliveries: readonly DeliveryRecord[]; attempts: readonly AttemptRecord[] },
): Promise<ReadonlySet<string>> {
  if (deliveries.length === 0) {
    return new Set();
  }
  const values = [...deliveryValues(inOrderOfIds(deliveries)), ...attemptValues(attempts)];
  const waiting = await sql.query<{ id: string }>(record, values);
  return new Set(waiting.map(({ id }) => id));
}

// Cost: one round trip for each batch, where a transaction has five. Index: the primary key of scheduled_delivery, a table that holds only what
// is still to be sent. It finds nothing as a rule.
const record = {
  name: "record-delivered",
  text: `
    with waiting as (
      select id from scheduled_delivery where id = any($1::uuid[])
    ), written as (
      insert into delivery as d (${deliveryColumns})
      select f.* from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::integer[],
                             $9::integer[], $10::timestamptz[], $11::timestamptz[]) as f (id)
      where f.id <> all (array(select id from waiting))
      on conflict (id) do update
      set attempt_count = excluded.attempt_count, last_status_code = excluded.last_status_code
      where d.attempt_count < excluded.attempt_count
    ), attempted as (
      insert into attempt (${attemptColumns})
      select a.* from unnest($12::uuid[], $13::uuid[], $14::integer[], $15::text[], $16::timestamptz[], $17::float8[], $18::integer[],
                             $19::text[], $20::text[], $21::bytea[], $22::text[]) as a (id, delivery_id)
      where a.delivery_id <> all (array(select id from waiting))
      on conflict (id) do nothing
    )
    select id from waiting`,
};
