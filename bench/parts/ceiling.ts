import { type CeilingResult, openCeiling } from "../stage/measure-ceiling.ts";
import { type Part, receivers } from "./part.ts";

/** How many signed POSTs one process can send to the receivers with undici and nothing else: what everything else is compared with. */
export const ceiling: Part = {
  help: "signed POSTs from one process with undici and nothing else",
  async run({ stage, scale: { ceilingSeconds } }) {
    const rows: CeilingRow[] = [];
    for (const { name, behaviour } of receivers) {
      const opened = await openCeiling(stage, { origin: stage.origins[behaviour], tuningSeconds: ceilingSeconds / 2 });
      for (const by of ["dispatch", "request"] as const) {
        const runs = [await opened.measure(by, ceilingSeconds), await opened.measure(by, ceilingSeconds)];
        const best = runs.reduce((one, other) => (other.perSecond > one.perSecond ? other : one));
        rows.push({ receiver: name, by, ...best });
      }
      await opened.stop();
    }
    console.log(`\nCeiling: the better of 2 runs of ${ceilingSeconds} s`);
    console.table(
      rows.map(({ receiver, by, connections, perSecond, cpuMsPerThousand }) => ({
        receiver,
        "by undici's": by,
        connections,
        "requests/s": Math.round(perSecond),
        "CPU ms per 1,000: sender": cpuMsPerThousand.sender.toFixed(1),
        "receiver's": cpuMsPerThousand.receiver.toFixed(1),
      })),
    );
    return { rows };
  },
};

interface CeilingRow extends CeilingResult {
  receiver: string;
  by: "dispatch" | "request";
}
