import { openEmbedded } from "../../src/store/database.ts";
import { itKeepsWhatIsWanted } from "./retention.contract.ts";

itKeepsWhatIsWanted(async () => {
  const database = await openEmbedded(undefined);
  await database.migrate();
  return { database, close: () => database.close() };
});
