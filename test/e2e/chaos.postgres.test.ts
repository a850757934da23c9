import { describeChaos } from "./chaos.contract.ts";

describeChaos("postgres");
