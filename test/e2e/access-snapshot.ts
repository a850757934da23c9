import type { Database } from "../../src/store/database.ts";
import { waitFor } from "../support/wait-for.ts";

/** Everything that the database holds of organizations, as text: by table, in the order of the rows' own texts. */
export type Snapshot = Readonly<Record<string, string[]>>;

/**
 * Taken when nothing is under way any more: no message and no event about Tellwire itself waits, no receiver is about to be asked, and twice it was the
 * same. Left out is what changes by itself: lanes and their leases, when keys were last used, and the counts of events that were published before.
 */
export async function takeSnapshot(database: Database): Promise<Snapshot> {
  let before = "";
  return await waitFor(
    async () => {
      const [found] = await database.sql.query<{ waits: boolean }>({ name: "", text: whatWaits }, []);
      if (found?.waits !== false) return undefined;
      const snapshot = await readAll(database);
      const text = JSON.stringify(snapshot);
      const isStill = text === before;
      before = text;
      return isStill ? snapshot : undefined;
    },
    { what: "a database in which nothing is under way" },
  );
}

/** A message goes when all that its event causes is on record, but for what a paused webhook holds back. */
const whatWaits = `
  select exists (select from broker_message) or exists (select from operational_event)
      or exists (select from webhook where verification_due_at is not null)
      or exists (select from recovery where status = 'RUNNING') as waits`;

const leftOut = ["lane", "tellwire_migrations", "broker_message", "operational_event", "published_events"];

async function readAll({ sql }: Database): Promise<Snapshot> {
  const tables = await sql.query<{ name: string }>(
    {
      name: "",
      text: `select relname as name from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition`,
    },
    [],
  );
  const snapshot: Record<string, string[]> = {};
  for (const { name } of tables) {
    if (leftOut.includes(name)) continue;
    const text = `select (to_jsonb(t) - 'last_used_at')::text as row from ${name} t order by 1`;
    snapshot[name] = (await sql.query<{ row: string }>({ name: "", text }, [])).map(({ row }) => row);
  }
  return snapshot;
}
