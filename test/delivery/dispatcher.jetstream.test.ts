import type { Database } from "../../src/store/database.ts";
import { jetStreamBrokerUnderTest } from "../broker/jetstream-broker-under-test.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { dispatcherContract } from "./dispatcher.contract.ts";

let database: Database;
withOwnDatabase({ maxConnections: 8 }, (own) => {
  database = own;
});

dispatcherContract("the JetStream broker", async () => ({
  database,
  underTest: jetStreamBrokerUnderTest(),
}));
