import type { Broker } from "../../src/broker/broker.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import type { Database } from "../../src/store/database.ts";
import { openTestPostgres } from "./open-test-postgres.ts";
import { createTestDatabase } from "./postgres.ts";
import { silentBrokerLog } from "./silent-broker-log.ts";

/** A database of its own, and the broker that lives in it. */
export interface PostgresSite {
  database: Database;
  broker: Broker;
  /** Closes both, and drops the database. */
  close(): Promise<void>;
}

export async function openPostgresSite({ maxConnections }: { maxConnections: number }): Promise<PostgresSite> {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections });
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  return {
    database,
    broker,
    async close() {
      await broker.close();
      await database.close();
      await testDatabase.drop();
    },
  };
}
