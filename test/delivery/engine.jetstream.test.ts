import { inject } from "vitest";
import { openJetStream } from "../../src/broker/jetstream.ts";
import { removeStreams, uniqueNatsNames } from "../support/nats.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { describeEngine } from "./engine.contract.ts";

describeEngine("Postgres and JetStream", async () => {
  const url = inject("natsUrl");
  const names = uniqueNatsNames();
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 8 });
  const open = () => openJetStream({ url, ...names, timeoutMs: 60_000, log: silentBrokerLog });
  const broker = await open();
  return {
    database,
    broker,
    subjectPrefix: names.subjectPrefix,
    secondBroker: open,
    async close() {
      await broker.close();
      await removeStreams(url, names);
      await database.close();
      await testDatabase.drop();
    },
  };
});
