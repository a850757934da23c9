import { median } from "../median.ts";
import { requireComplete } from "../stage/measure-burst.ts";
import { halfOfMaximum, type LatencyResult, measureLatency } from "../stage/measure-latency.ts";
import { withSession } from "../stage/session.ts";
import { latencyRow, processorCells } from "../stage/tables.ts";
import type { Part } from "./part.ts";
import { createPlainSite } from "./plain.ts";

/** From publish to receipt at half of the rate that is possible. */
export const latency: Part = {
  help: "publish to receipt at half of the maximum: p50, p99, p99.9",
  async run({ stage, scale }) {
    const { databaseUrl, traffic } = await createPlainSite(stage);
    const windows = await withSession(stage, { databaseUrl }, async (session) => {
      const perSecond = await halfOfMaximum(session, traffic, scale);
      const measured: LatencyResult[] = [];
      for (let round = 0; round < scale.rounds; round++) {
        measured.push(await measureLatency(session, traffic, { perSecond, seconds: scale.latencySeconds }));
      }
      return measured;
    });
    for (const window of windows) requireComplete(window, "latency");
    const p99Ms = median(windows.map(({ latencyMs }) => latencyMs.p99));
    console.log(
      `\nLatency at ${windows[0]?.perSecond} events a second, ${windows.length} times ${scale.latencySeconds} s; the p99 in the middle: ${p99Ms.toFixed(1)} ms`,
    );
    console.table(
      windows.flatMap(({ latencyMs, publisherLateMs, processors }) => [
        { ...latencyRow("publish to receipt", latencyMs), ...processorCells(processors) },
        latencyRow("the publisher's lateness", publisherLateMs),
      ]),
    );
    return { p99Ms, windows };
  },
};
