import { afterAll, beforeAll } from "vitest";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { brokerContract } from "./broker.contract.ts";
import { brokerWindowContract } from "./broker-window.contract.ts";
import { postgresBrokerUnderTest } from "./postgres-broker-under-test.ts";

let database: Database;
beforeAll(async () => {
  database = await openEmbedded(undefined);
  await database.migrate();
});
afterAll(async () => {
  await database.close();
});

brokerContract("the broker of the embedded mode", () => postgresBrokerUnderTest(database.sql));
brokerWindowContract("the broker of the embedded mode", () => postgresBrokerUnderTest(database.sql));
