import { readdirSync, readFileSync } from "node:fs";

/** Whether the process lives: there, and no zombie that only waits to be collected. */
export function isAlive(pid: number): boolean {
  const fields = statFields(pid);
  return fields !== undefined && fields[0] !== "Z";
}

/** The ids of the processes that this one started and that live. Reads /proc, so Linux only. */
export function childrenOf(pid: number): number[] {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  return pids.filter((child) => statFields(child)?.[1] === String(pid) && isAlive(child));
}

/** The fields of /proc/<pid>/stat after the name: the state, the parent's id, … */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}
