import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** The CPU time that a process and its descendants have used so far, user and system, in milliseconds; of those that have ended too. */
export function cpuMsOf(rootPid: number): number {
  const ticks = treeOf(rootPid).reduce((sum, { ownTicks }) => sum + ownTicks, 0);
  return (ticks * 1000) / ticksPerSecond;
}

/** Memory of one process, in MiB: resident now, and at the peak of its life. */
export interface ProcessMemory {
  pid: number;
  residentMiB: number;
  peakMiB: number;
}

/** The memory of a process and of its descendants, each for itself: shared pages count in each of them. */
export function memoryOf(rootPid: number): ProcessMemory[] {
  return treeOf(rootPid).flatMap(({ pid }) => {
    const status = readOrNothing(`/proc/${pid}/status`);
    const kiB = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    return status === "" ? [] : [{ pid, residentMiB: kiB("VmRSS") / 1024, peakMiB: kiB("VmHWM") / 1024 }];
  });
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

interface ProcessStat {
  pid: number;
  parentPid: number;
  /** User and system time, its own and that of the children that it has collected. */
  ownTicks: number;
}

function treeOf(rootPid: number): ProcessStat[] {
  const all = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? (statOf(Number(name)) ?? []) : []));
  const childrenOf = Map.groupBy(all, ({ parentPid }) => parentPid);
  const tree = all.filter(({ pid }) => pid === rootPid);
  // Grows while it is walked.
  for (const { pid } of tree) tree.push(...(childrenOf.get(pid) ?? []));
  return tree;
}

/** The fields are told in proc_pid_stat(5). The name of the program, in parentheses, may have spaces and parentheses in it. */
function statOf(pid: number): ProcessStat | undefined {
  const stat = readOrNothing(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (stat === "") return undefined;
  // The state is field 3 there and the first one here.
  const field = (place: number): number => Number(fields[place - 3]);
  return { pid, parentPid: field(4), ownTicks: field(14) + field(15) + field(16) + field(17) };
}

/** A process may end while the others are looked at. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
