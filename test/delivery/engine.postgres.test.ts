import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { describeEngine } from "./engine.contract.ts";

describeEngine("Postgres alone", async () => {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 8 });
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  return {
    database,
    broker,
    secondBroker: () => openPostgresBroker(database.sql, { log: silentBrokerLog }),
    async close() {
      await broker.close();
      await database.close();
      await testDatabase.drop();
    },
  };
});
