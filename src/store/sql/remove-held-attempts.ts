import type { Sql } from "../sql.ts";

/** Some deliveries of a day: those with ids after one and before another, as many as the limit says, in the order of the ids. */
export interface HeldAttempts {
  after: string;
  before: string;
  limit: number;
}

/**
 * Removes the attempts that rows of delivery hold, and leaves the deliveries. Returns the last id that it came to; undefined where there was nothing
 * more.
 */
export async function removeHeldAttempts(
  session: Sql,
  { after, before, limit }: HeldAttempts,
): Promise<string | undefined> {
  const [removed] = await session.query<{ last: string | null }>(remove, [after, before, limit]);
  return removed?.last ?? undefined;
}

// Index: the primary key of the one partition that the ids name, from its place on.
const remove = {
  name: "remove-held-attempts",
  text: `
    with held as (
      select id from delivery where id > $1::uuid and id < $2::uuid and attempt_id is not null order by id limit $3
    ), removed as (
      update delivery d
      set attempt_id = null, attempt_started_at = null, attempt_latency_ms = null, attempt_status_code = null,
          attempt_response_body = null, attempt_url = null
      from held
      where d.id = held.id and d.id > $1::uuid and d.id < $2::uuid
      returning d.id
    )
    select (array_agg(id order by id desc))[1] as last from removed`,
};
