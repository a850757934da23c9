import { loadavg } from "node:os";
import { median } from "../median.ts";
import { compareWindows, type LatencyWindows, type WindowComparison } from "../stage/compare-windows.ts";
import { requireComplete } from "../stage/measure-burst.ts";
import { halfOfMaximum, type LatencyResult, measureLatency } from "../stage/measure-latency.ts";
import { type Session, withSession } from "../stage/session.ts";
import { latencyRow, processorCells } from "../stage/tables.ts";
import type { Traffic } from "../stage/webhooks.ts";
import type { BenchRun, Part } from "./part.ts";
import { createPlainSite } from "./plain.ts";
import { type Trouble, troubles, warmUp } from "./troubles.ts";

/** What the trouble of one organization does to the latency of the others. */
export const neighbours: Part = {
  help: "latency beside a receiver that hangs, one that fails, 200,000 deliveries that wait, and nothing (control)",
  async run(run) {
    const rounds: NeighbourRound[] = [];
    for (let round = 0; round < run.scale.rounds; round++) {
      for (const trouble of troubles) rounds.push(await measureBeside(run, trouble));
    }
    const compared = [...Map.groupBy(rounds, ({ result }) => result.trouble)].map(([trouble, its]) => ({
      trouble,
      results: its.map(({ result }) => result),
      comparison: compareWindows(its.map(({ windows }) => windows)),
    }));
    print(run.scale.latencySeconds, compared);
    for (const { result } of rounds) {
      requireComplete(result.alone, `before ${result.trouble}`);
      requireComplete(result.beside, `beside ${result.trouble}`);
    }
    return {
      troubles: Object.fromEntries(compared.map(({ trouble, comparison }) => [trouble, comparison])),
      rounds: rounds.map(({ result }) => result),
    };
  },
};

interface ComparedTrouble {
  trouble: string;
  results: readonly NeighbourResult[];
  comparison: WindowComparison;
}

/** The latencies of all rounds together and of each, and the ratios with those of the rounds, in their order. */
function print(seconds: number, compared: readonly ComparedTrouble[]): void {
  console.log(
    `\nLatency at half of the maximum, ${seconds} s before a trouble of others and ${seconds} s beside it, all rounds together`,
  );
  console.table(
    compared.flatMap(({ trouble, results, comparison }) => [
      latencyRow(`before ${trouble}`, comparison.before),
      {
        ...latencyRow(`beside ${trouble}`, comparison.beside),
        "events/s": median(results.map(({ beside }) => beside.perSecond)),
        "its requests": median(results.map(({ troubleRequests }) => troubleRequests)),
      },
    ]),
  );
  console.table(
    compared.flatMap(({ results }) =>
      results.flatMap(({ trouble, alone, beside }, round) => [
        { ...latencyRow(`${round + 1}: before ${trouble}`, alone.latencyMs), ...processorCells(alone.processors) },
        { ...latencyRow(`${round + 1}: beside ${trouble}`, beside.latencyMs), ...processorCells(beside.processors) },
      ]),
    ),
  );
  console.table(
    compared.map(({ trouble, comparison: { p99Ratio, p99Ratios } }) => ({
      beside: trouble,
      "p99 ratio (median of rounds)": p99Ratio.medianOfRounds.toFixed(2),
      "p99 ratio (all rounds together)": p99Ratio.allRounds.toFixed(2),
      rounds: p99Ratios.map((ratio) => ratio.toFixed(2)).join(", "),
    })),
  );
}

/** What is kept of a round, and the latencies that are not, because there are hundreds of thousands. */
interface NeighbourRound {
  result: NeighbourResult;
  windows: LatencyWindows;
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
async function measureBeside({ stage, scale }: BenchRun, trouble: Trouble): Promise<NeighbourRound> {
  const { databaseUrl, traffic } = await createPlainSite(stage);
  const round = await withSession(stage, { databaseUrl }, async (session) => {
    await warmUp(trouble, session, scale.troubleWarmUpSeconds);
    const { latencySeconds: seconds, waitingDeliveries } = scale;
    const { begin } = await trouble.prepare(session, { webhooks: { group }, seconds, waitingDeliveries });
    const rate = { perSecond: await halfOfMaximum(session, traffic, scale), seconds };
    const before = await measureWindow(session, traffic, rate);
    await stage.receiver.call("reset", { group });
    const [beside] = await Promise.all([measureWindow(session, traffic, rate), begin()]);
    const result = {
      trouble: trouble.name,
      alone: before.latency,
      beside: beside.latency,
      p99Ratio: beside.latency.latencyMs.p99 / before.latency.latencyMs.p99,
      troubleRequests: await stage.receiver.call("count", { group }),
      loadAverage: loadavg()[0] ?? Number.NaN,
    };
    return { result, windows: { before: before.latenciesMs, beside: beside.latenciesMs } };
  });
  await stage.databases.drop(databaseUrl);
  return round;
}

/** Of the neighbour's webhooks. */
const group = "trouble";

async function measureWindow(session: Session, traffic: Traffic, rate: { perSecond: number; seconds: number }) {
  const latency: LatencyResult = await measureLatency(session, traffic, rate);
  const latenciesMs = await session.stage.receiver.call("latenciesMs", { group: traffic.group });
  return { latency, latenciesMs: Float64Array.from(latenciesMs) };
}
