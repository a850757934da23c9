import { median } from "../median.ts";
import type { BurstResult } from "./measure-burst.ts";
import type { ProcessMemory } from "./process-usage.ts";
import type { ProcessorShares } from "./processor-shares.ts";
import type { Quantiles } from "./quantiles.ts";

/** A row of a table of throughputs: medians of the rounds, and the worst of the counts. */
export function burstRow(name: string, rounds: readonly BurstResult[]): Record<string, string | number> {
  const middle = (pick: (result: BurstResult) => number): number => Math.round(median(rounds.map(pick)));
  return {
    "": name,
    "deliveries/s": middle(({ perSecond }) => perSecond),
    "middle 80 %": middle(({ steadyPerSecond }) => steadyPerSecond),
    lost: Math.max(...rounds.map(({ lost }) => lost)),
    duplicates: Math.max(...rounds.map(({ duplicates }) => duplicates)),
    connections: middle(({ connectionsOpened }) => connectionsOpened),
    "MiB at rest": memoryCell(rounds, ({ memoryAtRest }) => memoryAtRest, "residentMiB"),
    "MiB peak": memoryCell(rounds, ({ memory }) => memory, "peakMiB"),
  };
}

/** A row of CPU times for a thousand deliveries, in milliseconds. */
export function cpuRow(name: string, rounds: readonly BurstResult[]): Record<string, string | number> {
  const names = Object.keys(rounds[0]?.cpuMsPerThousand ?? {});
  const cells = names.map((process) => [
    process,
    Math.round(median(rounds.map(({ cpuMsPerThousand }) => cpuMsPerThousand[process] ?? Number.NaN))),
  ]);
  return { "CPU ms per 1,000": name, ...Object.fromEntries(cells) };
}

/** A row of latencies in milliseconds. */
export function latencyRow(name: string, { count, p50, p99, p999, max }: Quantiles): Record<string, string | number> {
  const cell = (value: number): string => value.toFixed(1);
  return { ms: name, deliveries: count, p50: cell(p50), p99: cell(p99), "p99.9": cell(p999), max: cell(max) };
}

/** Cells of what became of the processors' time. */
export function processorCells({ idle, stolen }: ProcessorShares): Record<string, string> {
  const percent = (share: number): string => (share * 100).toFixed(1);
  return { "idle %": percent(idle), "stolen %": percent(stolen) };
}

/** The highest of the rounds, for each process, the largest first. */
function memoryCell(
  rounds: readonly BurstResult[],
  of: (result: BurstResult) => readonly ProcessMemory[],
  kind: "residentMiB" | "peakMiB",
): string {
  const largest: number[] = [];
  for (const round of rounds) {
    const values = of(round).map((memory) => memory[kind]);
    for (const [place, value] of values.toSorted((one, other) => other - one).entries()) {
      largest[place] = Math.max(largest[place] ?? 0, value);
    }
  }
  return largest.map((value) => Math.round(value)).join(" + ");
}
