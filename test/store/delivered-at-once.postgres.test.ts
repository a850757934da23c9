import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { itKeepsTheAttemptInTheRow } from "./delivered-at-once.contract.ts";

itKeepsTheAttemptInTheRow(async () => {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 4 });
  return {
    database,
    async close() {
      await database.close();
      await testDatabase.drop();
    },
  };
});
