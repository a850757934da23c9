import { compare } from "../stage/compare.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import type { Part } from "./part.ts";
import { createPlainSite, measureSite } from "./plain.ts";

/** Two processes against one. */
export const processes: Part = {
  help: "throughput and memory with TELLWIRE_PROCESSES=2, against one process",
  async run({ stage, scale }) {
    const site = await createPlainSite(stage);
    const result = await compare(scale.rounds, {
      plain: () => measureSite(stage, site, scale),
      other: () => measureSite(stage, site, { ...scale, variables: { TELLWIRE_PROCESSES: "2" } }),
    });
    console.log(`\nTwo processes: ${result.ratio.toFixed(2)} times the throughput of one`);
    console.table([burstRow("1 process", result.plain), burstRow("2 processes", result.other)]);
    console.table([cpuRow("1 process", result.plain), cpuRow("2 processes", result.other)]);
    return result;
  },
};
