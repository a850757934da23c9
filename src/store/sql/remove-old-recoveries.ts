import type { Sql } from "../sql.ts";

/** Removes recovery jobs that ended before the time (milliseconds since the epoch). */
export async function removeOldRecoveries(sql: Sql, endedBefore: number): Promise<void> {
  await sql.query(statement, [new Date(endedBefore).toISOString()]);
}

// Reads the whole table, which has a row for each call of RecoverDeliveries. Once an hour.
const statement = {
  name: "remove-old-recoveries",
  text: "delete from recovery where completed_at < $1::timestamptz",
};
