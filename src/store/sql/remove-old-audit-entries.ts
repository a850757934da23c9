import { firstIdAt } from "../../domain/ids.ts";
import type { Sql } from "../sql.ts";

/** Removes entries of the audit log from before the time (milliseconds since the epoch), the oldest first and at most `limit`. Returns how many. */
export async function removeOldAuditEntries(
  sql: Sql,
  { before, limit }: { before: number; limit: number },
): Promise<number> {
  const [removed] = await sql.query<{ count: number }>(statement, [firstIdAt(Math.max(0, before)), limit]);
  return removed?.count ?? 0;
}

// Index: the primary key, from its beginning.
const statement = {
  name: "remove-old-audit-entries",
  text: `
    with removed as (
      delete from audit_entry where id in (select id from audit_entry where id < $1::uuid order by id limit $2::integer)
      returning id
    )
    select count(*)::integer as count from removed`,
};
