import { openEmbedded } from "../../src/store/database.ts";
import { itKeepsTheAttemptInTheRow } from "./delivered-at-once.contract.ts";

itKeepsTheAttemptInTheRow(async () => {
  const database = await openEmbedded(undefined);
  await database.migrate();
  return { database, close: () => database.close() };
});
