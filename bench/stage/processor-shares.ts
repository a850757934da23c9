import { readFileSync } from "node:fs";

/** What became of the time of all processors together, each as a share of it: 0 to 1. */
export interface ProcessorShares {
  /** Nobody wanted it. */
  idle: number;
  /** The hypervisor gave it to another machine while this one had work: what is measured meanwhile says as much of that one. */
  stolen: number;
}

/** Begins to watch the processors. The function that it returns tells of the time since then. */
export function watchProcessors(): () => ProcessorShares {
  const before = ticksOf(readFileSync("/proc/stat", "utf8"));
  return () => sharesBetween(before, ticksOf(readFileSync("/proc/stat", "utf8")));
}

interface ProcessorTicks {
  all: number;
  idle: number;
  stolen: number;
}

/** The first line of /proc/stat, as proc_stat(5) tells it: user, nice, system, idle, iowait, irq, softirq, steal; the guests' time is in the first two. */
export function ticksOf(stat: string): ProcessorTicks {
  const [, ...fields] = (stat.split("\n")[0] ?? "").split(/\s+/);
  const ticks = fields.slice(0, 8).map(Number);
  const [idle = Number.NaN, waiting = Number.NaN, , , stolen = Number.NaN] = ticks.slice(3);
  return { all: ticks.reduce((sum, each) => sum + each, 0), idle: idle + waiting, stolen };
}

export function sharesBetween(before: ProcessorTicks, after: ProcessorTicks): ProcessorShares {
  const all = after.all - before.all;
  return { idle: (after.idle - before.idle) / all, stolen: (after.stolen - before.stolen) / all };
}
