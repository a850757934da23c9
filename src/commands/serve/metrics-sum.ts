import { AggregatorRegistry } from "prom-client";
import type { Figures } from "./process-messages.ts";

/** The figures of all worker processes together. */
export interface MetricsSum<Process> {
  /**
   * The sum as Prometheus text. A process that does not answer in time counts with what it said the last time: one that is busy must not
   * make a counter fall, which Prometheus would take for a restart.
   */
  text(): Promise<string>;
  /** Takes what a process answered. */
  answered(process: Process, id: number, figures: Figures): void;
  /** Keeps the last known counters of a process that is gone, for the same reason. */
  ended(process: Process): void;
}

export interface MetricsSumOptions<Process> {
  /** Those that can be asked now. */
  processes: () => readonly Process[];
  /** Asks one for its figures, which it says with `answered` and this id. */
  ask: (process: Process, id: number) => void;
  /** How long answers are waited for, in milliseconds; less than who asks waits for the sum. */
  timeoutMs?: number;
}

/** Adds up on the supervisor's side. What each metric's sum is (a sum, the largest) is for the metric's `aggregator` to say. */
export function createMetricsSum<Process>(options: MetricsSumOptions<Process>): MetricsSum<Process> {
  const { processes, ask, timeoutMs = 700 } = options;
  const latest = new Map<Process, Figures>();
  const rounds = new Map<number, Round<Process>>();
  let gone: Figures = [];
  let nextId = 0;
  /** One process after the other: the counters of two that end together must not overwrite each other. */
  let folding = Promise.resolve();

  async function askAll(): Promise<void> {
    const missing = new Set(processes());
    if (missing.size === 0) return;
    const id = nextId++;
    const { promise, resolve } = Promise.withResolvers<void>();
    rounds.set(id, { missing, complete: resolve });
    const timer = setTimeout(resolve, timeoutMs);
    for (const process of missing) ask(process, id);
    await promise;
    clearTimeout(timer);
    rounds.delete(id);
  }

  function arrived(round: Round<Process> | undefined, process: Process): void {
    round?.missing.delete(process);
    if (round?.missing.size === 0) round.complete();
  }

  return {
    async text() {
      await askAll();
      await folding;
      return await AggregatorRegistry.aggregate([...latest.values(), gone]).metrics();
    },
    answered(process, id, figures) {
      // An answer that comes late is still the newest.
      latest.set(process, figures);
      arrived(rounds.get(id), process);
    },
    ended(process) {
      const last = latest.get(process) ?? [];
      latest.delete(process);
      folding = folding.then(async () => {
        gone = await AggregatorRegistry.aggregate([gone, last.filter(isCumulative)])
          .getMetricsAsJSON()
          .then(plain);
      });
      for (const round of rounds.values()) arrived(round, process);
    },
  };
}

interface Round<Process> {
  missing: Set<Process>;
  complete: () => void;
}

function isCumulative({ type }: { type: string }): boolean {
  return type === "counter" || type === "histogram";
}

function plain(metrics: readonly object[]): Figures {
  return JSON.parse(JSON.stringify(metrics)) as Figures;
}
