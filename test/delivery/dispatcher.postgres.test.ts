import { afterAll, beforeAll } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { postgresBrokerUnderTest } from "../broker/postgres-broker-under-test.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { dispatcherContract } from "./dispatcher.contract.ts";

let testDatabase: TestDatabase;
let database: Database;
beforeAll(async () => {
  testDatabase = await createTestDatabase();
  database = await openTestPostgres(testDatabase.url, { maxConnections: 8 });
});
afterAll(async () => {
  await database.close();
  await testDatabase.drop();
});

dispatcherContract("the Postgres broker", async () => ({
  database,
  underTest: await postgresBrokerUnderTest(database.sql),
}));
