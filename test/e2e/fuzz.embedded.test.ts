import { randomInt } from "node:crypto";
import { describeFuzzing } from "./fuzz.contract.ts";

// Another one each time: what it finds is found again with the seed that the test's name has.
describeFuzzing("embedded", randomInt(2 ** 31));
