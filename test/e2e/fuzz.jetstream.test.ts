import { describeFuzzing } from "./fuzz.contract.ts";

describeFuzzing("jetstream", 4711);
