import type { Sql } from "../sql.ts";

/**
 * Has Postgres look again at the tables that are empty at most times and may fill in seconds, where it believes that they are as small as they
 * were. By itself it looks once a minute, and until then plans statements for a table of one row: each of them would read all of a backlog that has
 * just come. Returns the names of the tables. Those of another owner stay as they are, and so does one that somebody else is analyzing.
 */
export async function analyzeGrownTables(sql: Sql): Promise<string[]> {
  const tables = await sql.query<{ name: (typeof tablesThatFill)[number] }>(grown, [tablesThatFill]);
  for (const { name } of tables) {
    await sql.query({ name: "", text: `analyze (skip_locked) ${name}` }, []);
  }
  return tables.map(({ name }) => name);
}

const tablesThatFill = ["broker_message", "scheduled_delivery", "lane"] as const;

// $1 the names. What was never vacuumed, or is empty to its last page, is planned for by its size: then reltuples is -1, or relpages 0. The live
// rows are counted by those who write them, who say so within a second.
const grown = {
  name: "grown-tables",
  text: `
    select relname as name from pg_class
    where oid = any ($1::text[]::regclass[]) and relpages > 0 and reltuples >= 0
      and pg_stat_get_live_tuples(oid) > 1000 + 4 * reltuples and pg_has_role(relowner, 'USAGE')
    order by relname`,
};
