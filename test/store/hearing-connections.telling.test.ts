import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { createHearingConnections, hasHeard } from "../../src/store/hearing-connections.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import type { StopListening } from "../../src/store/sql.ts";
import { addOrganization, newEvent } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";

let databaseUrl: string;
/** Of another process: it only tells. */
let other: Database;
let database: Database;
let organizationId: string;

/** At midnight events are written in a transaction, whose connection hears nothing. */
const noon = new Date(new Date().setUTCHours(12, 0, 0, 0));

withOwnDatabase({ maxConnections: 2 }, async (own, url) => {
  other = own;
  databaseUrl = url;
  organizationId = await addOrganization(other);
});
beforeEach(async () => {
  database = await openTestPostgres(databaseUrl, { maxConnections: 10 });
});
afterEach(() => database.close());

test("a statement that wrote events has heard of all that was told before it", async () => {
  const heard = new Set<string>();
  const stop = await listen((payload) => heard.add(payload));
  for (let count = 0; count < 100; count++) {
    await tell(`${count}`);
    const answers = await Promise.all([writeEvent(), writeEvent(), writeEvent()]);
    expect(answers.map((answer) => answer.hasHeard)).toEqual([true, true, true]);
    expect(heard).toContain(`${count}`);
  }
  await stop();
});

test("it says that it has not where nobody listens, or only without statements", async () => {
  expect(await writeEvent()).toMatchObject({ hasHeard: false });
  const stop = await database.sql.listen(
    "changes",
    () => {},
    () => {},
  );
  expect(await writeEvent()).toMatchObject({ hasHeard: false });
  await stop();
});

test("a connection that was opened before somebody listened says that it has not", async () => {
  await writeEvent();
  const stop = await listen(() => {});
  expect(await writeEvent()).toMatchObject({ hasHeard: false });
  await stop();
});

test("a connection that is lost is followed by one that hears", async () => {
  const heard: string[] = [];
  const stop = await listen((payload) => heard.push(payload));
  expect(await writeEvent()).toMatchObject({ hasHeard: true });
  const text = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and query like '%insert into event%' and pid <> pg_backend_pid()`;
  await other.sql.query({ name: "", text }, []);
  await tell("meanwhile");
  await waitFor(async () => (await writeEvent().catch(() => undefined))?.hasHeard === true);
  expect(heard).toContain("meanwhile");
  await stop();
});

test("who has stopped listening is not told any more", async () => {
  const heard: string[] = [];
  const stop = await listen((payload) => heard.push(payload));
  await writeEvent();
  await stop();
  await tell("afterwards");
  await writeEvent();
  expect(heard).not.toContain("afterwards");
});

test("where it cannot be known what was told before a connection listened, its statements do not say that they have heard", async () => {
  const hearing = createHearingConnections();
  const caughtUp = () => Promise.reject(new Error("the connection that listens is lost"));
  hearing.join({ channel: "changes", onNotification: () => {}, caughtUp });
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await hearing.prepare(client);
  const { rows } = await client.query(`select ${hasHeard} as heard`);
  expect(rows).toEqual([{ heard: false }]);
  await client.end();
});

test("statements hear one channel", async () => {
  const stop = await listen(() => {});
  const another = database.sql.listen(
    "other_changes",
    () => {},
    () => {},
    { withStatements: true },
  );
  await expect(another).rejects.toThrow("statements hear changes, and cannot tell of other_changes too");
  await stop();
});

function listen(onNotification: (payload: string) => void): Promise<StopListening> {
  return database.sql.listen("changes", onNotification, () => {}, { withStatements: true });
}

async function tell(payload: string): Promise<void> {
  await other.sql.query({ name: "", text: "select pg_notify('changes', $1)" }, [payload]);
}

function writeEvent() {
  return createEventInserter(database.sql)([newEvent(organizationId)], noon);
}
