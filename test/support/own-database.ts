import { afterAll, beforeAll } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { openTestPostgres } from "./open-test-postgres.ts";
import { createTestDatabase } from "./postgres.ts";

/** Opens a migrated, empty database for the tests of a file (or of a `describe`), and drops it after the last of them. */
export function withOwnDatabase(
  { maxConnections }: { maxConnections: number },
  onOpen: (database: Database, url: string) => void | Promise<void>,
): void {
  const closing: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    const { url, drop } = await createTestDatabase();
    closing.push(drop);
    const database = await openTestPostgres(url, { maxConnections });
    closing.push(() => database.close());
    await onOpen(database, url);
  });
  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  });
}
