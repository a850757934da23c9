import type { Attempt } from "../entities/attempt.ts";
import type { Sql } from "../sql.ts";

/** Of deliveries, the attempts with ids from `first` to before `end`. */
export interface AttemptsInQuestion {
  deliveryIds: readonly string[];
  first: string;
  end: string;
}

/** The attempts of deliveries, by their number. */
export async function readAttempts(sql: Sql, { deliveryIds, first, end }: AttemptsInQuestion): Promise<Attempt[]> {
  const rows = await sql.query<AttemptRow>(read, [deliveryIds, first, end]);
  return rows.map(({ startedMs, ...attempt }) => ({ ...attempt, startedAt: new Date(startedMs) }));
}

type AttemptRow = Omit<Attempt, "startedAt"> & { startedMs: number };

/** What an insert of attempts names. */
export const attemptColumns =
  "id, delivery_id, number, trigger, started_at, latency_ms, status_code, error, error_message, response_body, url";

/** The same of the attempt that a row of delivery holds: the only one of a delivery that it brought to its receiver. */
export const heldAttemptColumns = `
  attempt_id, id, 1, 'SCHEDULE'::text, attempt_started_at, attempt_latency_ms, attempt_status_code, null::text, ''::text,
  attempt_response_body, attempt_url`;

/**
 * All attempts, with `attemptColumns`: those that rows of delivery hold, and those that stand by themselves. A condition on delivery_id beside it
 * is one on the primary key of delivery and on the index attempt_delivery, in the partitions of the days in question.
 */
export const storedAttempts = `
  select ${attemptColumns} from attempt
  union all
  select ${heldAttemptColumns} from delivery where attempt_id is not null`;

const read = {
  name: "read-attempts",
  text: `
    select id, delivery_id as "deliveryId", number, trigger, (extract(epoch from started_at) * 1000)::float8 as "startedMs",
           latency_ms as "latencyMs", status_code as "statusCode", error, error_message as "errorMessage",
           response_body as "responseBody", url
    from (${storedAttempts}) a
    where delivery_id = any($1::uuid[]) and id >= $2::uuid and id < $3::uuid
    order by number, id`,
};
