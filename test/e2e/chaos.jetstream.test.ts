import { describeChaos } from "./chaos.contract.ts";

describeChaos("jetstream");
