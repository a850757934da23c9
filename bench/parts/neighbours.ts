import { loadavg } from "node:os";
import { median } from "../median.ts";
import { compareWindows, type WindowComparison, type WindowPair } from "../stage/compare-windows.ts";
import { requireComplete } from "../stage/measure-burst.ts";
import { halfOfMaximum, type LatencyResult, measureLatency } from "../stage/measure-latency.ts";
import { type Session, withSession } from "../stage/session.ts";
import { latencyRow, processorCells } from "../stage/tables.ts";
import { type Undisturbed, undisturbed } from "../stage/undisturbed.ts";
import type { Traffic } from "../stage/webhooks.ts";
import type { BenchRun, Part, Scale } from "./part.ts";
import { createPlainSite } from "./plain.ts";
import { type Phase, type PreparedTrouble, type Trouble, troubles, warmUp } from "./troubles.ts";

/** What the trouble of one organization does to the latency of the others. */
export const neighbours: Part = {
  help: "latency beside a receiver that hangs, one that fails, 200,000 deliveries that wait, and nothing (control)",
  async run(run) {
    const rounds: NeighbourRound[] = [];
    for (let round = 0; round < run.scale.neighbourRounds; round++) {
      for (const trouble of troubles) {
        const measured = await measureRound(run, trouble, round % 2 === 0 ? "alone" : "beside");
        rounds.push(measured);
        console.log(summaryOf(measured.result));
      }
    }
    const compared = [...Map.groupBy(rounds, ({ result }) => result.trouble)].map(([trouble, its]) => ({
      trouble,
      results: its.map(({ result }) => result),
      comparison: compareWindows(its.flatMap(({ windows }) => windows)),
    }));
    print(run.scale, compared);
    for (const { result } of rounds) {
      for (const { alone, beside } of result.pairs) {
        requireComplete(alone, `alone (${result.trouble})`);
        requireComplete(beside, `beside ${result.trouble}`);
      }
      for (const window of result.disturbed)
        requireComplete(window, `a window that was measured again (${result.trouble})`);
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

/** The latencies of all windows together, what of the processors was left in them, and the ratios with those of the pairs, in their order. */
function print({ neighbourSeconds }: Scale, compared: readonly ComparedTrouble[]): void {
  console.log(
    `\nLatency at half of the maximum, in windows of ${neighbourSeconds} s without a trouble of others and beside it by turns, all together`,
  );
  console.table(
    compared.flatMap(({ trouble, results, comparison }) => {
      const pairs = results.flatMap((result) => result.pairs);
      return [
        { ...latencyRow(`alone (${trouble})`, comparison.alone), ...middleOf(pairs.map(({ alone }) => alone)) },
        {
          ...latencyRow(`beside ${trouble}`, comparison.beside),
          ...middleOf(pairs.map(({ beside }) => beside)),
          "its requests": median(results.map(({ troubleRequests }) => troubleRequests)),
        },
      ];
    }),
  );
  console.table(
    compared.map(({ trouble, comparison: { p99Ratio, p99Ratios } }) => ({
      beside: trouble,
      "p99 ratio (all deliveries)": p99Ratio.allDeliveries.toFixed(2),
      "median of pairs": p99Ratio.medianOfPairs.toFixed(2),
      "middle half of pairs": p99Ratio.middleHalf.map((ratio) => ratio.toFixed(2)).join(" to "),
      pairs: p99Ratios.map((ratio) => ratio.toFixed(2)).join(", "),
    })),
  );
}

/** Of some windows the rate, and what became of the processors' time: medians. */
function middleOf(windows: readonly LatencyResult[]): Record<string, string | number> {
  const shareOf = (name: "idle" | "stolen"): number => median(windows.map(({ processors }) => processors[name]));
  return {
    "events/s": median(windows.map(({ perSecond }) => perSecond)),
    ...processorCells({ idle: shareOf("idle"), stolen: shareOf("stolen") }),
  };
}

/** What is kept of a round, and the latencies that are not, because there are hundreds of thousands. */
interface NeighbourRound {
  result: NeighbourResult;
  windows: WindowPair[];
}

interface NeighbourResult {
  trouble: string;
  pairs: { alone: LatencyResult; beside: LatencyResult }[];
  /** Windows that were measured again, because much of the machine was stolen: of no ratio. */
  disturbed: LatencyResult[];
  /** What the neighbour's receiver got in all of them. */
  troubleRequests: number;
  loadAverage: number;
}

/** The p99s of a round in a line, for whoever waits for the others. */
function summaryOf({ trouble, pairs, disturbed }: NeighbourResult): string {
  const p99s = pairs.map((pair) => `${pair.alone.latencyMs.p99.toFixed(0)} → ${pair.beside.latencyMs.p99.toFixed(0)}`);
  const again = disturbed.length === 0 ? "" : `; windows measured again: ${disturbed.length}`;
  return `${trouble}, at ${pairs[0]?.alone.perSecond} events a second: ${p99s.join(", ")} ms${again}`;
}

/** On a site of its own for each: what one trouble leaves behind is not measured with the next. */
async function measureRound({ stage, scale }: BenchRun, trouble: Trouble, first: WindowKind): Promise<NeighbourRound> {
  const { databaseUrl, traffic } = await createPlainSite(stage);
  const round = await withSession(stage, { databaseUrl }, async (session) => {
    await warmUp(trouble, session, scale.troubleWarmUpSeconds);
    const { waitingDeliveries } = scale;
    const prepared = await trouble.prepare(session, { webhooks: { group, retryPolicy }, waitingDeliveries });
    const settleSeconds = scale.neighbourSettleSeconds;
    const half = await halfOfMaximum(session, traffic, { ...scale, settleSeconds });
    // With the neighbour's, without trouble and in trouble, it is half of the maximum.
    const perSecond = half - prepared.eventsPerSecond;
    await stage.receiver.call("reset", { group });
    const pairs: MeasuredPair[] = [];
    for (let pair = 0; pair < scale.neighbourPairs; pair++) {
      const measured = { session, traffic, perSecond, scale, trouble: prepared };
      pairs.push(await measurePair(measured, pair % 2 === 0 ? first : otherThan(first)));
    }
    const result = {
      trouble: trouble.name,
      pairs: pairs.map(({ alone, beside }) => ({ alone: alone.kept.latency, beside: beside.kept.latency })),
      disturbed: pairs
        .flatMap(({ alone, beside }) => [...alone.disturbed, ...beside.disturbed])
        .map(({ latency }) => latency),
      troubleRequests: await stage.receiver.call("count", { group }),
      loadAverage: loadavg()[0] ?? Number.NaN,
    };
    const windows = pairs.map(({ alone, beside }) => ({
      alone: alone.kept.latenciesMs,
      beside: beside.kept.latenciesMs,
    }));
    return { result, windows };
  });
  await stage.databases.drop(databaseUrl);
  return round;
}

/** Of the neighbour's webhooks. */
const group = "trouble";

/** The default schedule, but for the time that a request may take: by default a request that hangs in one window would time out in the next one. */
const retryPolicy = { delays: ["5s", "300s", "1800s"], timeout: "5s" };

interface PairToMeasure {
  session: Session;
  traffic: Traffic;
  perSecond: number;
  scale: Scale;
  trouble: PreparedTrouble;
}

type WindowKind = "alone" | "beside";

type MeasuredPair = Record<WindowKind, Undisturbed<MeasuredWindow>>;

function otherThan(kind: WindowKind): WindowKind {
  return kind === "alone" ? "beside" : "alone";
}

/**
 * The machine changes from minute to minute: two windows that follow each other are compared, and which comes first changes. It changes between rounds
 * too, so that what happens some seconds after a burst is not always in the same kind of window.
 */
async function measurePair(pair: PairToMeasure, first: WindowKind): Promise<MeasuredPair> {
  const { trouble, scale } = pair;
  const tries = { tries: scale.windowTries, stolenIn: ({ latency }: MeasuredWindow) => latency.processors.stolen };
  const alone = () => undisturbed(() => measureWindow(pair, trouble.well), tries);
  const beside = () => undisturbed(() => measureWindow(pair, trouble.bad), tries);
  if (first === "alone") return { alone: await alone(), beside: await beside() };
  const measured = await beside();
  return { alone: await alone(), beside: measured };
}

interface MeasuredWindow {
  latency: LatencyResult;
  latenciesMs: Float64Array;
}

/** What goes on meanwhile begins with the window, and ends after it. */
async function measureWindow(
  { session, traffic, perSecond, scale }: PairToMeasure,
  meanwhile: Phase,
): Promise<MeasuredWindow> {
  await measureLatency(session, traffic, { perSecond, seconds: scale.neighbourSettleSeconds });
  const rate = { perSecond, seconds: scale.neighbourSeconds };
  const [latency] = await Promise.all([
    measureLatency(session, traffic, rate),
    meanwhile.begin(scale.neighbourSeconds),
  ]);
  const latenciesMs = await session.stage.receiver.call("latenciesMs", { group: traffic.group });
  await meanwhile.end();
  return { latency, latenciesMs: Float64Array.from(latenciesMs) };
}
