import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { openPostgresSite } from "../support/postgres-site.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { describeEngine } from "./engine.contract.ts";

describeEngine("Postgres alone", async () => {
  const site = await openPostgresSite({ maxConnections: 8 });
  return { ...site, secondBroker: () => openPostgresBroker(site.database.sql, { log: silentBrokerLog }) };
});
