import type { Sql } from "../sql.ts";

/** The mark of this deployment, on every message that it publishes itself. It never changes. */
export async function readPublisherMark(sql: Sql): Promise<string> {
  const [row] = await sql.query<{ mark: string }>(statement, []);
  if (row === undefined) throw new Error("the table publisher_mark is empty, which no migration leaves it");
  return row.mark;
}

const statement = { name: "", text: "select mark from publisher_mark limit 1" };
