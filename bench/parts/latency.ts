import { median } from "../median.ts";
import { requireComplete } from "../stage/measure-burst.ts";
import { type LatencyResult, maximumNow, measureLatency, settleAt } from "../stage/measure-latency.ts";
import { type Session, withSession } from "../stage/session.ts";
import { latencyRow, processorCells } from "../stage/tables.ts";
import { type Undisturbed, undisturbed } from "../stage/undisturbed.ts";
import type { Traffic } from "../stage/webhooks.ts";
import type { BenchRun, Part, Scale } from "./part.ts";
import { createPlainSite } from "./plain.ts";

/** From publish to receipt at half of the rate that is possible. */
export const latency: Part = {
  help: "publish to receipt at half of the maximum: p50, p99, p99.9",
  async run({ stage, scale }: BenchRun) {
    const { databaseUrl, traffic } = await createPlainSite(stage);
    const measured = await withSession(stage, { databaseUrl }, (session) => measureWindows(session, traffic, scale));
    const windows = measured.map(({ kept }) => kept);
    const disturbed = measured.flatMap((window) => window.disturbed);
    for (const window of [...windows, ...disturbed]) requireComplete(window, "latency");
    const p99Ms = median(windows.map(({ latencyMs }) => latencyMs.p99));
    console.log(
      `\nLatency, ${windows.length} times ${scale.latencySeconds} s; the p99 in the middle: ${p99Ms.toFixed(1)} ms`,
    );
    console.table(windows.flatMap(windowRows));
    if (disturbed.length > 0) {
      console.log("Windows that were measured again, because much of the machine was stolen:");
      console.table(disturbed.flatMap(windowRows));
    }
    return { p99Ms, windows, disturbed };
  },
};

interface LatencyWindow extends LatencyResult {
  /** Events a second, in a burst right before the window and right after it. The window has half of the first. */
  maximumBefore: number;
  maximumAfter: number;
}

/** Each at half of what was possible right before it: on a machine whose speed changes, half of what was possible minutes ago says nothing. */
async function measureWindows(session: Session, traffic: Traffic, scale: Scale): Promise<Undisturbed<LatencyWindow>[]> {
  let maximum = await maximumNow(session, traffic, scale);
  const measureWindow = async (): Promise<LatencyWindow> => {
    const maximumBefore = maximum;
    const perSecond = Math.round(maximumBefore / 2);
    await settleAt(session, traffic, { ...scale, perSecond });
    const window = await measureLatency(session, traffic, { perSecond, seconds: scale.latencySeconds });
    maximum = await maximumNow(session, traffic, { ...scale, warmUpEvents: 0 });
    return { ...window, maximumBefore, maximumAfter: maximum };
  };
  const tries = { tries: scale.windowTries, stolenIn: ({ processors }: LatencyWindow) => processors.stolen };
  const windows: Undisturbed<LatencyWindow>[] = [];
  while (windows.length < scale.rounds) windows.push(await undisturbed(measureWindow, tries));
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
