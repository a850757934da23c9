import { median } from "../median.ts";
import { requireComplete } from "../stage/measure-burst.ts";
import { type LatencyResult, maximumNow, measureLatency, settleAt } from "../stage/measure-latency.ts";
import { type Session, withSession } from "../stage/session.ts";
import { latencyRow, processorCells } from "../stage/tables.ts";
import type { Traffic } from "../stage/webhooks.ts";
import type { BenchRun, Part, Scale } from "./part.ts";
import { createPlainSite } from "./plain.ts";

/** From publish to receipt at half of the rate that is possible. */
export const latency: Part = {
  help: "publish to receipt at half of the maximum: p50, p99, p99.9",
  async run({ stage, scale }: BenchRun) {
    const { databaseUrl, traffic } = await createPlainSite(stage);
    const windows = await withSession(stage, { databaseUrl }, (session) => measureWindows(session, traffic, scale));
    for (const window of windows) requireComplete(window, "latency");
    const p99Ms = median(windows.map(({ latencyMs }) => latencyMs.p99));
    console.log(
      `\nLatency, ${windows.length} times ${scale.latencySeconds} s; the p99 in the middle: ${p99Ms.toFixed(1)} ms`,
    );
    console.table(windows.flatMap(windowRows));
    return { p99Ms, windows };
  },
};

interface LatencyWindow extends LatencyResult {
  /** Events a second, in a burst right before the window and right after it. The window has half of the first. */
  maximumBefore: number;
  maximumAfter: number;
}

/** Each at half of what was possible right before it: on a machine whose speed changes, half of what was possible minutes ago says nothing. */
async function measureWindows(session: Session, traffic: Traffic, scale: Scale): Promise<LatencyWindow[]> {
  const windows: LatencyWindow[] = [];
  let maximumBefore = await maximumNow(session, traffic, scale);
  for (let round = 0; round < scale.rounds; round++) {
    const perSecond = Math.round(maximumBefore / 2);
    await settleAt(session, traffic, { ...scale, perSecond });
    const window = await measureLatency(session, traffic, { perSecond, seconds: scale.latencySeconds });
    const maximumAfter = await maximumNow(session, traffic, { ...scale, warmUpEvents: 0 });
    windows.push({ ...window, maximumBefore, maximumAfter });
    maximumBefore = maximumAfter;
  }
  return windows;
}

function windowRows(window: LatencyWindow): Record<string, string | number>[] {
  const { perSecond, maximumAfter, latencyMs, publisherLateMs, processors } = window;
  return [
    {
      ...latencyRow("publish to receipt", latencyMs),
      "events/s": perSecond,
      "% of the maximum after it": ((100 * perSecond) / maximumAfter).toFixed(0),
      ...processorCells(processors),
    },
    latencyRow("the publisher's lateness", publisherLateMs),
  ];
}
