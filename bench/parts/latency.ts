import { requireComplete } from "../stage/measure-burst.ts";
import { halfOfMaximum, measureLatency } from "../stage/measure-latency.ts";
import { withSession } from "../stage/session.ts";
import { latencyRow } from "../stage/tables.ts";
import type { Part } from "./part.ts";
import { createPlainSite } from "./plain.ts";

/** From publish to receipt at half of the rate that is possible. */
export const latency: Part = {
  help: "publish to receipt at half of the maximum: p50, p99, p99.9",
  async run({ stage, scale }) {
    const { databaseUrl, traffic } = await createPlainSite(stage);
    const result = await withSession(stage, { databaseUrl }, async (session) => {
      const perSecond = await halfOfMaximum(session, traffic, scale);
      return await measureLatency(session, traffic, { perSecond, seconds: scale.latencySeconds });
    });
    requireComplete(result, "latency");
    console.log(`\nLatency at ${result.perSecond} events a second, for ${scale.latencySeconds} s`);
    console.table([
      latencyRow("publish to receipt", result.latencyMs),
      latencyRow("the publisher's lateness", result.publisherLateMs),
    ]);
    return result;
  },
};
