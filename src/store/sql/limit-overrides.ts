import type { LimitOverrides } from "../../domain/limits.ts";
import type { Sql } from "../sql.ts";

/** What operators have set for these organizations; those for which nothing is set are missing from the answer. */
export async function limitOverridesOf(
  sql: Sql,
  organizationIds: readonly string[],
): Promise<ReadonlyMap<string, LimitOverrides>> {
  const rows = await sql.query<{ id: string; limits: string }>(statement, [organizationIds]);
  return new Map(rows.map(({ id, limits }) => [id, JSON.parse(limits) as LimitOverrides]));
}

// Index: the primary key. An organization's is read once a minute in each process, while it calls or publishes.
const statement = {
  name: "limit-overrides",
  text: "select id, limits::text as limits from organization where id = any($1::uuid[]) and limits is not null",
};
