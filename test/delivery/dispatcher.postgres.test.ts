import type { Database } from "../../src/store/database.ts";
import { postgresBrokerUnderTest } from "../broker/postgres-broker-under-test.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { dispatcherContract } from "./dispatcher.contract.ts";

let database: Database;
withOwnDatabase({ maxConnections: 8 }, (own) => {
  database = own;
});

dispatcherContract("the Postgres broker", async () => ({
  database,
  underTest: await postgresBrokerUnderTest(database.sql),
}));
