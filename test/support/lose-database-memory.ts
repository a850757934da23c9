import type { Database } from "../../src/store/database.ts";
import { nameIncarnation } from "../../src/store/sql/incarnation.ts";

/**
 * What a crash of the database leaves of events that did not wait for the disk: nothing, as of these, or all that was on the disk by chance; and another
 * name of its incarnation. Its connections stay.
 */
export async function loseDatabaseMemory(
  { sql }: Pick<Database, "sql">,
  lostEventIds: readonly string[],
): Promise<void> {
  await sql.transaction(async (transaction) => {
    await transaction.query({ name: "", text: "delete from incarnation" }, []);
    await transaction.query({ name: "", text: "delete from event where id = any($1::uuid[])" }, [lostEventIds]);
  });
  await nameIncarnation(sql);
}
