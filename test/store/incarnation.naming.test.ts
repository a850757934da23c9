import { beforeEach, expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { flushIncarnation, nameIncarnation } from "../../src/store/sql/incarnation.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { run } from "./store-under-test.ts";

let database: Database;
withOwnDatabase({ maxConnections: 8 }, (own) => {
  database = own;
});
beforeEach(() => run(database, "delete from incarnation"));

test("an incarnation has one name, whoever gives it and however often", async () => {
  await Promise.all([1, 2, 3].map(() => nameIncarnation(database.sql)));
  const name = await flushIncarnation(database.sql);
  expect(name).toEqual(expect.any(String));
  await nameIncarnation(database.sql);
  expect(await flushIncarnation(database.sql)).toBe(name);
});

test("where the table would survive a crash, there is no name, and every event waits for the disk", async () => {
  await run(database, "alter table incarnation set logged");
  await nameIncarnation(database.sql);
  expect(await flushIncarnation(database.sql)).toBeUndefined();
  await run(database, "alter table incarnation set unlogged");
  // Amazon Aurora keeps the rows of unlogged tables in a crash.
  await run(database, "create function aurora_version() returns text return '17.1.0'");
  await nameIncarnation(database.sql);
  expect(await flushIncarnation(database.sql)).toBeUndefined();
  await run(database, "drop function aurora_version()");
  await nameIncarnation(database.sql);
  expect(await flushIncarnation(database.sql)).toEqual(expect.any(String));
});
