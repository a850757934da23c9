import { createTestDatabase } from "../support/postgres.ts";
import { describeCrash } from "./crash.contract.ts";

describeCrash("Postgres alone", async () => {
  const database = await createTestDatabase();
  return { environment: { TELLWIRE_DATABASE_URL: database.url }, close: database.drop };
});
