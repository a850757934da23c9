import { afterAll, expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { startTellwire, type TellwireProcess, tellwireSettings } from "../support/tellwire.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;
let tellwire: TellwireProcess;
withOwnDatabase({ maxConnections: 1 }, async (own, url) => {
  database = own;
  tellwire = await startTellwire(tellwireSettings({ TELLWIRE_DATABASE_URL: url }));
});
afterAll(() => tellwire?.stop());

test("a process has Postgres look at a table that was empty and has filled", async () => {
  await run("alter table lane set (autovacuum_enabled = off)");
  await addLanes(1);
  await run("delete from lane");
  await run("vacuum (truncate false, analyze) lane");
  expect(await believedLanes()).toBe(0);
  await addLanes(5_000);
  await waitFor(async () => (await believedLanes()) === 5_000);
});

/** Of which none is ever due. */
async function addLanes(count: number): Promise<void> {
  await run(
    `insert into lane (webhook_id, due_at) select gen_random_uuid(), 'infinity' from generate_series(1, ${count})`,
  );
}

async function believedLanes(): Promise<number | undefined> {
  const [row] = await run<{ lanes: number }>(
    "select reltuples::integer as lanes from pg_class where oid = 'lane'::regclass",
  );
  return row?.lanes;
}

async function run<Row>(text: string): Promise<Row[]> {
  return await database.sql.query<Row>({ name: "", text }, []);
}
