import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { createEventInserter, eventKey, type InsertedEvents } from "../../src/store/sql/insert-events.ts";
import type { Sql } from "../../src/store/sql.ts";
import { newEvent } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";
import { run } from "./store-under-test.ts";

const dayMs = 24 * 3_600_000;
const today = Date.now() - (Date.now() % dayMs);
/** Times of the tests are given as seconds since noon of this day (UTC). */
const noon = (seconds = 0) => new Date(today + dayMs / 2 + seconds * 1_000);
const midnight = (seconds: number) => new Date(today + seconds * 1_000);

const organizationId = randomUUID();
const newEvents = (count: number) => Array.from({ length: count }, () => newEvent(organizationId));
const keysOf = (events: readonly { id: string }[]) => new Set(events.map(({ id }) => eventKey(organizationId, id)));

/** The same database, and the names of the statements that it was asked for, in transactions too. */
function listed(sql: Sql): { sql: Sql; statements: string[] } {
  const statements: string[] = [];
  const listing = (inner: Sql): Sql => ({
    ...inner,
    query: (statement, parameters) => {
      statements.push(statement.name);
      return inner.query(statement, parameters);
    },
    transaction: (work) => inner.transaction((transaction) => work(listing(transaction))),
  });
  return { sql: listing(sql), statements };
}

const [plain, again] = ["insert-events", "insert-events-again"];

describe.each(["a Postgres server", "the embedded database"])("on %s", (kind) => {
  let database: Database;
  let onServer: TestDatabase | undefined;

  beforeAll(async () => {
    onServer = kind === "a Postgres server" ? await createTestDatabase() : undefined;
    database = onServer ? await openTestPostgres(onServer.url, { maxConnections: 4 }) : await openEmbedded(undefined);
    if (onServer === undefined) await database.migrate();
    await ensurePartitions(database.sql, { now: today, daysBefore: 2, daysAhead: 1 });
  });
  afterAll(async () => {
    await database.close();
    await onServer?.drop();
  });

  const storedIds = async (events: readonly { id: string }[]) => {
    const ids = events.map(({ id }) => id);
    const rows = await run<{ id: string }>(database, "select id from event where id = any($1::uuid[])", [ids]);
    return rows.map(({ id }) => id).toSorted();
  };
  const idsOf = (events: readonly { id: string }[]) => events.map(({ id }) => id).toSorted();

  test.each([
    ["that came on the same day", noon(-60)],
    ["that came the day before", noon(-dayMs / 1_000 + 60)],
  ])("an event %s is named among new ones, and each is there once", async (_when, before) => {
    const events = newEvents(20);
    const first = events.slice(7, 9);
    await createEventInserter(database.sql)(first, before);
    expect((await createEventInserter(database.sql)(events, noon())).known).toEqual(keysOf(first));
    expect(await storedIds(events)).toEqual(idsOf(events));
  });

  test("an event that stands in a batch twice is written once, and is new", async () => {
    const [event] = newEvents(1);
    expect((await createEventInserter(database.sql)([event!, event!], noon())).known).toEqual(new Set());
    expect(await storedIds([event!])).toEqual([event!.id]);
  });

  test("after an event that came again, others are expected for a minute from the last one on", async () => {
    const { sql, statements } = listed(database.sql);
    const insertEvents = createEventInserter(sql);
    const [one, other, last] = [newEvents(5), newEvents(5), newEvents(5)];
    expect((await insertEvents(one, noon())).known).toEqual(new Set());
    expect((await insertEvents(one, noon(1))).known).toEqual(keysOf(one));
    expect((await insertEvents(other, noon(50))).known).toEqual(new Set());
    expect((await insertEvents([...other, ...last], noon(60))).known).toEqual(keysOf(other));
    await insertEvents(newEvents(1), noon(119));
    await insertEvents(newEvents(1), noon(120));
    expect(statements).toEqual([plain, plain, again, again, again, again, plain]);
  });

  test("what one inserter meets is no matter of another one's", async () => {
    const { sql, statements } = listed(database.sql);
    const events = newEvents(1);
    await createEventInserter(database.sql)(events, noon());
    await createEventInserter(sql)(events, noon());
    await createEventInserter(sql)(newEvents(1), noon());
    expect(statements).toEqual([plain, again, plain]);
  });

  test("around midnight nothing fails in the transaction that waits for the others", async () => {
    const { sql, statements } = listed(database.sql);
    const insertEvents = createEventInserter(sql);
    const events = newEvents(10);
    expect((await insertEvents(events.slice(0, 5), midnight(-1))).known).toEqual(new Set());
    expect((await insertEvents(events.slice(0, 7), midnight(-1))).known).toEqual(keysOf(events.slice(0, 5)));
    expect((await insertEvents(events, midnight(1))).known).toEqual(keysOf(events.slice(0, 7)));
    expect(await storedIds(events)).toEqual(idsOf(events));
    expect(new Set(statements)).toEqual(new Set(["lock-midnight", again]));
  });

  test("what fails for another reason fails, and none of its batch is there", async () => {
    const { sql, statements } = listed(database.sql);
    const events = newEvents(3);
    const unfit = { ...newEvent(organizationId), subject: "\0" };
    await expect(createEventInserter(sql)([...events, unfit], noon())).rejects.toMatchObject({ code: "22021" });
    expect(statements).toEqual([plain]);
    expect(await storedIds(events)).toEqual([]);
  });
});

describe("while another process writes some of the same events", () => {
  let testDatabase: TestDatabase;
  let database: Database;

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = await openTestPostgres(testDatabase.url, { maxConnections: 4 });
  });
  afterAll(async () => {
    await database.close();
    await testDatabase.drop();
  });

  /** Inserts all of them while the middle ones are written in a transaction that then ends. */
  const insertBeside = async (end: () => void) => {
    const events = newEvents(9);
    const { sql, statements } = listed(database.sql);
    let inserting: Promise<InsertedEvents> | undefined;
    const others = database.sql.transaction(async (transaction) => {
      await createEventInserter(transaction)(events.slice(3, 6), noon());
      inserting = createEventInserter(sql)(events, noon());
      await waitFor(async () => (await run(database, waitingForOthers)).length > 0, { what: "the insert to wait" });
      end();
    });
    await others.catch(() => {});
    return { events, known: (await inserting)?.known, statements };
  };
  const waitingForOthers = `
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%insert into event%'`;

  test("it is waited for, and what it wrote was there before", async () => {
    const { events, known, statements } = await insertBeside(() => {});
    expect(known).toEqual(keysOf(events.slice(3, 6)));
    expect(statements).toEqual([plain, again]);
    expect(await run(database, "select id from event")).toHaveLength(9);
  });

  test("it is waited for, and what it takes back is new", async () => {
    const { known, statements } = await insertBeside(() => {
      throw new Error("the other process takes it back");
    });
    expect(known).toEqual(new Set());
    expect(statements).toEqual([plain]);
  });
});
