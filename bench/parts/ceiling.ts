import { openCeiling } from "../stage/measure-ceiling.ts";
import type { Part } from "./part.ts";

/** How many signed POSTs one process can send to the receiver with undici and nothing else: what everything else is compared with. */
export const ceiling: Part = {
  help: "signed POSTs from one process with undici and nothing else",
  async run({ stage, scale }) {
    const opened = await openCeiling(stage, { tuningSeconds: scale.ceilingSeconds / 2 });
    const runs = [];
    for (let round = 0; round < 3; round++) runs.push(await opened.measure(scale.ceilingSeconds));
    const best = runs.reduce((one, other) => (other.perSecond > one.perSecond ? other : one));
    const byRequest = await opened.measureByRequest(scale.ceilingSeconds);
    await opened.stop();
    console.log(`\nCeiling: best of ${runs.length} runs of ${scale.ceilingSeconds} s`);
    const named = [
      { "": "undici's dispatch", ...best },
      { "": "undici's request", ...byRequest },
    ];
    console.table(
      named.map(({ cpuMsPerThousand, perSecond, ...rest }) => ({
        ...rest,
        "requests/s": Math.round(perSecond),
        "CPU ms per 1,000: sender": cpuMsPerThousand.sender.toFixed(1),
        receiver: cpuMsPerThousand.receiver.toFixed(1),
      })),
    );
    return { best, runs, byRequest };
  },
};
