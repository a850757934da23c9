import { startNats } from "../support/nats.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { describeCrash } from "./crash.contract.ts";

describeCrash("Postgres and JetStream", async () => {
  const [nats, database] = await Promise.all([startNats(), createTestDatabase()]);
  return {
    environment: { TELLWIRE_DATABASE_URL: database.url, TELLWIRE_NATS_URL: nats.url },
    async close() {
      await nats.stop();
      await database.drop();
    },
  };
});
