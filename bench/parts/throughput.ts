import { median } from "../median.ts";
import { type BurstResult, measureBurst, requireComplete } from "../stage/measure-burst.ts";
import { type Ceiling, type CeilingResult, openCeiling } from "../stage/measure-ceiling.ts";
import { type Session, withSession } from "../stage/session.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import { createWebhooks, type Traffic } from "../stage/webhooks.ts";
import type { Part, Scale } from "./part.ts";

/** Deliveries a second end to end, with one webhook for each event and with four, in turns with the ceiling. */
export const throughput: Part = {
  help: "deliveries a second end to end and their ratio to the ceiling, CPU and memory, lost and duplicates",
  async run({ stage, scale, keepMaximum }) {
    const ceiling = await openCeiling(stage, { tuningSeconds: scale.ceilingSeconds / 4 });
    const databaseUrl = await stage.databases.create();
    const results = await withSession(stage, { databaseUrl }, async (session) => {
      const { rest } = session.tellwire;
      const origin = stage.origins.ok;
      const one = { group: "one", origin, organizations: 10, webhooks: 2, wantedBy: "one" } as const;
      const four = { group: "four", origin, organizations: 5, webhooks: 4, wantedBy: "all" } as const;
      const byOne = await createWebhooks(rest, one);
      const byFour = await createWebhooks(rest, four);
      return {
        fanOut1: await alternate(session, { traffic: byOne, scale, ceiling }),
        fanOut4: await alternate(session, { traffic: byFour, scale: quartered(scale), ceiling }),
      };
    });
    await ceiling.stop();
    keepMaximum(median(results.fanOut1.rounds.map(({ perSecond }) => perSecond)));
    print(results.fanOut1, results.fanOut4);
    return results;
  },
};

interface Alternated {
  /** The median of the rounds' ratios, deliveries to requests of the ceiling, a second each. */
  ratioToCeiling: number;
  ratios: number[];
  /** The same to the sender that goes by undici's `request`, as people write it. */
  ratioToRequest: number;
  rounds: BurstResult[];
  ceilings: CeilingResult[];
  byRequest: CeilingResult[];
}

async function alternate(session: Session, { traffic, scale, ceiling }: AlternateOptions): Promise<Alternated> {
  const rounds: BurstResult[] = [];
  const ceilings: CeilingResult[] = [];
  const byRequest: CeilingResult[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    ceilings.push(await ceiling.measure(scale.ceilingSeconds));
    byRequest.push(await ceiling.measureByRequest(scale.ceilingSeconds));
    const result = await measureBurst(session, traffic, scale);
    requireComplete(result, traffic.group);
    rounds.push(result);
  }
  const ratiosTo = (runs: CeilingResult[]): number[] =>
    rounds.map(({ perSecond }, round) => perSecond / (runs[round]?.perSecond ?? Number.NaN));
  const ratios = ratiosTo(ceilings);
  const ratioToRequest = median(ratiosTo(byRequest));
  return { ratioToCeiling: median(ratios), ratios, ratioToRequest, rounds, ceilings, byRequest };
}

interface AlternateOptions {
  traffic: Traffic;
  scale: Scale;
  ceiling: Ceiling;
}

/** As many deliveries as with one webhook for each event. */
function quartered(scale: Scale): Scale {
  return { ...scale, events: scale.events / 4, warmUpEvents: scale.warmUpEvents / 4 };
}

function print(one: Alternated, four: Alternated): void {
  console.log(`\nThroughput: medians of ${one.rounds.length} rounds, in turns with the ceiling`);
  const named = [["1 webhook an event", one] as const, ["4 webhooks an event", four] as const];
  console.table(
    named.map(([name, { rounds, ratioToCeiling, ceilings, ratioToRequest, byRequest }]) => ({
      ...burstRow(name, rounds),
      ceiling: Math.round(median(ceilings.map(({ perSecond }) => perSecond))),
      ratio: ratioToCeiling.toFixed(3),
      "by request": Math.round(median(byRequest.map(({ perSecond }) => perSecond))),
      "ratio to it": ratioToRequest.toFixed(3),
    })),
  );
  console.table(named.map(([name, { rounds }]) => cpuRow(name, rounds)));
}
