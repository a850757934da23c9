import type { Sql } from "../sql.ts";
import { type AttemptsInQuestion, storedAttempts } from "./stored-attempts.ts";

/** What came of the newest attempt of a delivery. */
export interface LastAttempt {
  endedAt: Date;
  /** Empty where the receiver took the event. */
  errorMessage: string;
}

/** The newest attempts of deliveries, by the delivery. */
export async function lastAttempts(
  sql: Sql,
  { deliveryIds, first, end }: AttemptsInQuestion,
): Promise<Map<string, LastAttempt>> {
  const rows = await sql.query<LastAttemptRow>(read, [deliveryIds, first, end]);
  return new Map(
    rows.map(({ deliveryId, endedMs, errorMessage }) => [deliveryId, { endedAt: new Date(endedMs), errorMessage }]),
  );
}

interface LastAttemptRow {
  deliveryId: string;
  endedMs: number;
  errorMessage: string;
}

// Cost: the attempts of the page, of which there are a few for each delivery.
const read = {
  name: "last-attempts",
  text: `
    select distinct on (delivery_id) delivery_id as "deliveryId",
           (extract(epoch from started_at) * 1000 + latency_ms)::float8 as "endedMs", error_message as "errorMessage"
    from (${storedAttempts}) a
    where delivery_id = any($1::uuid[]) and id >= $2::uuid and id < $3::uuid
    order by delivery_id, number desc, id desc`,
};
