import { median } from "../median.ts";
import type { CeilingRun } from "../processes/ceiling-sender.ts";
import { type BurstResult, measureBurst, requireComplete } from "../stage/measure-burst.ts";
import { type Ceiling, type CeilingResult, openCeiling } from "../stage/measure-ceiling.ts";
import { type Session, withSession } from "../stage/session.ts";
import { burstRow, cpuRow } from "../stage/tables.ts";
import { createWebhooks, type Traffic } from "../stage/webhooks.ts";
import { type Part, receivers, type Scale } from "./part.ts";

/** Deliveries a second end to end, with one webhook for each event and with four, to each receiver, in turns with its ceiling. */
export const throughput: Part = {
  help: "deliveries a second end to end and their ratio to the ceiling, CPU and memory, lost and duplicates",
  async run({ stage, scale }) {
    const databaseUrl = await stage.databases.create();
    const results: Alternated[] = [];
    await withSession(stage, { databaseUrl }, async (session) => {
      for (const receiver of receivers) results.push(...(await measureReceiver(session, { receiver, scale })));
    });
    print(results);
    return { results };
  },
};

interface Alternated {
  name: string;
  /** The medians of the rounds' ratios, deliveries to requests of the ceiling, a second each, by each way of undici. */
  ratioTo: Record<CeilingRun["by"], number>;
  rounds: BurstResult[];
  ceilings: Record<CeilingRun["by"], CeilingResult[]>;
}

interface MeasuredReceiver {
  receiver: (typeof receivers)[number];
  scale: Scale;
}

async function measureReceiver(session: Session, { receiver, scale }: MeasuredReceiver): Promise<Alternated[]> {
  const { stage, tellwire } = session;
  const origin = stage.origins[receiver.behaviour];
  const ceiling = await openCeiling(stage, { origin, tuningSeconds: scale.ceilingSeconds / 4 });
  const group = (count: number): string => `${receiver.behaviour}${count}`;
  const one = { group: group(1), origin, organizations: 10, webhooks: 2, wantedBy: "one" } as const;
  const four = { group: group(4), origin, organizations: 5, webhooks: 4, wantedBy: "all" } as const;
  const byOne = await createWebhooks(tellwire.rest, one);
  const byFour = await createWebhooks(tellwire.rest, four);
  const results = [
    await alternate(session, { name: nameOf(receiver.name, 1), traffic: byOne, scale, ceiling }),
    await alternate(session, { name: nameOf(receiver.name, 4), traffic: byFour, scale: quartered(scale), ceiling }),
  ];
  await ceiling.stop();
  return results;
}

function nameOf(receiver: string, webhooks: number): string {
  return `${receiver}, ${webhooks} webhook${webhooks === 1 ? "" : "s"} an event`;
}

async function alternate(session: Session, { name, traffic, scale, ceiling }: AlternateOptions): Promise<Alternated> {
  const rounds: BurstResult[] = [];
  const ceilings: Alternated["ceilings"] = { dispatch: [], request: [] };
  for (let round = 0; round < scale.rounds; round++) {
    for (const by of ["dispatch", "request"] as const) {
      ceilings[by].push(await ceiling.measure(by, scale.ceilingSeconds));
    }
    const result = await measureBurst(session, traffic, scale);
    requireComplete(result, traffic.group);
    rounds.push(result);
  }
  const ratioTo = (runs: CeilingResult[]): number =>
    median(rounds.map(({ perSecond }, round) => perSecond / (runs[round]?.perSecond ?? Number.NaN)));
  return {
    name,
    ratioTo: { dispatch: ratioTo(ceilings.dispatch), request: ratioTo(ceilings.request) },
    rounds,
    ceilings,
  };
}

interface AlternateOptions {
  name: string;
  traffic: Traffic;
  scale: Scale;
  ceiling: Ceiling;
}

/** As many deliveries as with one webhook for each event. */
function quartered(scale: Scale): Scale {
  return { ...scale, events: scale.events / 4, warmUpEvents: scale.warmUpEvents / 4 };
}

function print(results: readonly Alternated[]): void {
  console.log(`\nThroughput: medians of ${results[0]?.rounds.length} rounds, in turns with the ceiling`);
  const perSecond = (runs: CeilingResult[]): number => Math.round(median(runs.map((run) => run.perSecond)));
  console.table(
    results.map(({ name, rounds, ratioTo, ceilings }) => ({
      ...burstRow(name, rounds),
      "by request": perSecond(ceilings.request),
      ratio: ratioTo.request.toFixed(3),
      "by dispatch": perSecond(ceilings.dispatch),
      "ratio to it": ratioTo.dispatch.toFixed(3),
    })),
  );
  console.table(results.map(({ name, rounds }) => cpuRow(name, rounds)));
}
