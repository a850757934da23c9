import { loadavg } from "node:os";
import { median } from "../median.ts";
import { addWaitingDeliveries, wakeLanes } from "../stage/delivery-rows.ts";
import { requireComplete } from "../stage/measure-burst.ts";
import { halfOfMaximum, type LatencyResult, measureLatency } from "../stage/measure-latency.ts";
import { type Session, withSession } from "../stage/session.ts";
import { latencyRow } from "../stage/tables.ts";
import { createWebhooks } from "../stage/webhooks.ts";
import type { BenchRun, Part, Scale } from "./part.ts";
import { createPlainSite } from "./plain.ts";

/** What the trouble of one organization does to the latency of the others. */
export const neighbours: Part = {
  help: "latency beside a receiver that hangs, one that fails, and an organization with 200,000 deliveries waiting",
  async run(run) {
    const results: NeighbourResult[] = [];
    for (let round = 0; round < run.scale.rounds; round++) {
      for (const trouble of troubles) results.push(await measureBeside(run, trouble));
    }
    const byTrouble = [...Map.groupBy(results, ({ trouble }) => trouble)];
    print(byTrouble);
    for (const { trouble, beside } of results) requireComplete(beside, `beside ${trouble}`);
    const p99Ratios = byTrouble.map(([trouble, rounds]) => [trouble, median(rounds.map(({ p99Ratio }) => p99Ratio))]);
    return { p99Ratios: Object.fromEntries(p99Ratios), rounds: results };
  },
};

/** Of each trouble the round whose ratio is in the middle, and the median of the ratios. */
function print(byTrouble: readonly (readonly [string, NeighbourResult[]])[]): void {
  const { seconds = 0 } = byTrouble[0]?.[1][0]?.alone ?? {};
  console.log(`\nLatency at half of the maximum, ${seconds} s before a trouble of others and ${seconds} s beside it`);
  console.table(
    byTrouble.flatMap(([trouble, rounds]) => {
      const sorted = rounds.toSorted((one, other) => one.p99Ratio - other.p99Ratio);
      const middle = sorted[Math.floor(sorted.length / 2)];
      if (middle === undefined) return [];
      const ratio = median(rounds.map(({ p99Ratio }) => p99Ratio)).toFixed(2);
      return [
        { ...latencyRow(`before ${trouble}`, middle.alone.latencyMs), "events/s": middle.alone.perSecond },
        {
          ...latencyRow(`beside ${trouble}`, middle.beside.latencyMs),
          "events/s": middle.beside.perSecond,
          "p99 ratio": ratio,
          "its requests": middle.troubleRequests,
        },
      ];
    }),
  );
}

interface NeighbourResult {
  trouble: string;
  alone: LatencyResult;
  beside: LatencyResult;
  /** `beside` to `alone`. */
  p99Ratio: number;
  /** What the neighbour's receiver got meanwhile. */
  troubleRequests: number;
  loadAverage: number;
}

/** On a site of its own for each: what one trouble leaves behind is not measured with the next. */
async function measureBeside({ stage, scale }: BenchRun, trouble: Trouble): Promise<NeighbourResult> {
  const { databaseUrl, traffic } = await createPlainSite(stage);
  return await withSession(stage, { databaseUrl }, async (session) => {
    const begin = await trouble.prepare(session, scale);
    const perSecond = await halfOfMaximum(session, traffic, scale);
    const rate = { perSecond, seconds: scale.neighbourSeconds };
    const alone = await measureLatency(session, traffic, rate);
    await stage.receiver.call("reset", { group });
    const [beside] = await Promise.all([measureLatency(session, traffic, rate), begin()]);
    return {
      trouble: trouble.name,
      alone,
      beside,
      p99Ratio: beside.latencyMs.p99 / alone.latencyMs.p99,
      troubleRequests: await stage.receiver.call("count", { group }),
      loadAverage: loadavg()[0] ?? Number.NaN,
    };
  });
}

interface Trouble {
  name: string;
  /** Makes everything ready, and returns what begins the trouble. */
  prepare(session: Session, scale: Scale): Promise<() => Promise<unknown>>;
}

/** Of the neighbour's webhooks. */
const group = "trouble";

const troubles: readonly Trouble[] = [
  { name: "a hanging receiver", prepare: (session, scale) => prepareEvents(session, "hang", scale) },
  { name: "a failing receiver", prepare: (session, scale) => prepareEvents(session, "fail", scale) },
  { name: "a backlog", prepare: prepareBacklog },
];

/** Five webhooks of an organization, each with 20 events a second, lead to a receiver that behaves badly. */
async function prepareEvents(
  { stage, tellwire }: Session,
  behaviour: "hang" | "fail",
  { neighbourSeconds: seconds }: Scale,
): Promise<() => Promise<unknown>> {
  const origin = stage.origins[behaviour];
  const plan = { group, origin, organizations: 1, webhooks: 5, wantedBy: "one" } as const;
  const { subjects } = await createWebhooks(tellwire.rest, plan);
  return () => stage.publisher.call("steady", { subjects, perSecond: 100, seconds });
}

/** The receiver is well again, and takes 100 ms for each request: what waits is worked off beside the traffic. */
async function prepareBacklog(
  { stage, tellwire, databaseUrl }: Session,
  scale: Scale,
): Promise<() => Promise<unknown>> {
  const plan = { group, origin: stage.origins.slow, organizations: 1, webhooks: 1, wantedBy: "one" } as const;
  await createWebhooks(tellwire.rest, plan);
  await addWaitingDeliveries(databaseUrl, { group, count: scale.waitingDeliveries });
  return () => wakeLanes(databaseUrl, group);
}
