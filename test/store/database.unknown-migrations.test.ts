import { expect, it } from "vitest";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";

async function expectRefusal(database: Database, name: string, words: string): Promise<void> {
  await database.sql.query({ name: "", text: "update tellwire_migrations set name = $1" }, [name]);
  for (const work of [database.migrate, database.pendingMigrations]) {
    const error = await work().catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: "CONFIG_INVALID" });
    expect(error.message).toContain(words);
    expect(error.message).toContain("start with an empty one (TELLWIRE_DATABASE_URL or TELLWIRE_DATA_DIR)");
  }
}

it("a database from before the first release is refused, with what to do", async () => {
  const { url, drop } = await createTestDatabase();
  const database = await openTestPostgres(url, { maxConnections: 2 });
  await expectRefusal(database, "2026-11-21-initial", "by a version before the first release");
  await database.close();
  await drop();
});

it("an empty database lacks the first migration, a migrated one none, and one of a version that this one does not know is refused", async () => {
  const database = await openEmbedded(undefined);
  expect(await database.pendingMigrations()).toContain("2026-11-22-initial");
  await database.migrate();
  expect(await database.pendingMigrations()).toEqual([]);
  expect(await database.migrate()).toEqual([]);
  await expectRefusal(database, "2099-01-01-later", "2099-01-01-later");
  await database.close();
});
