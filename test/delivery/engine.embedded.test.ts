import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { openEmbedded } from "../../src/store/database.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { describeEngine } from "./engine.contract.ts";

describeEngine("the embedded database", async () => {
  const database = await openEmbedded(undefined);
  await database.migrate();
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  return {
    database,
    broker,
    secondBroker: () => openPostgresBroker(database.sql, { log: silentBrokerLog }),
    async close() {
      await broker.close();
      await database.close();
    },
  };
});
