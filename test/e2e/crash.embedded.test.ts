import { describeCrash } from "./crash.contract.ts";

describeCrash("the embedded database", async () => ({ environment: {}, close: async () => {} }));
