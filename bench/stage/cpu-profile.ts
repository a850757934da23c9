import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Prints where the time of the newest CPU profile in the folder was spent: self time by function, and by file. */
export function printHottest(folder: string): void {
  const newest = readdirSync(folder)
    .filter((name) => name.endsWith(".cpuprofile"))
    .toSorted()
    .at(-1);
  if (newest === undefined) return;
  const profile = JSON.parse(readFileSync(join(folder, newest), "utf8")) as CpuProfile;
  console.log(
    `\nWhere the time of ${newest} went, idle time left out: by function, by file, and by the file of Tellwire on whose behalf`,
  );
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const files = new Map(profile.nodes.map(({ id, callFrame }) => [id, fileOf(callFrame)]));
  for (const names of [places, files, callersOf(profile)]) console.table(hottest(profile, names));
}

/** The format of V8's CPU profiles. Times in microseconds. */
interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[];
  samples: number[];
  timeDeltas: number[];
}

interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
}

const shown = 30;

/** Shares of the time in which the process was not idle, by the names of the nodes. */
function hottest(profile: CpuProfile, names: ReadonlyMap<number, string>): { where: string; "%": string }[] {
  const idle = new Set(
    profile.nodes.filter(({ callFrame }) => callFrame.functionName === "(idle)").map(({ id }) => id),
  );
  const micros = new Map<string, number>();
  let total = 0;
  for (const [place, id] of profile.samples.entries()) {
    if (idle.has(id)) continue;
    const name = names.get(id) ?? "";
    const delta = profile.timeDeltas[place] ?? 0;
    micros.set(name, (micros.get(name) ?? 0) + delta);
    total += delta;
  }
  const sorted = [...micros].toSorted(([, one], [, other]) => other - one).slice(0, shown);
  return sorted.map(([where, time]) => ({ where, "%": ((time / total) * 100).toFixed(1) }));
}

/** For each node the nearest file of Tellwire's own on its stack, itself included: who is to answer for the time in libraries. */
function callersOf({ nodes }: CpuProfile): Map<number, string> {
  const callers = new Map<number, string>();
  // A node stands before its children.
  for (const { id, callFrame, children = [] } of nodes) {
    const file = fileOf(callFrame);
    const caller = file.startsWith("src/") ? file : (callers.get(id) ?? file);
    callers.set(id, caller);
    if (!caller.startsWith("src/")) continue;
    for (const child of children) callers.set(child, caller);
  }
  return callers;
}

function placeOf(frame: CallFrame): string {
  return frame.url === "" ? frame.functionName : `${frame.functionName} ${fileOf(frame)}:${frame.lineNumber + 1}`;
}

function fileOf({ functionName, url }: CallFrame): string {
  return url === "" ? functionName : url.replace(/^file:\/\/.*\/(node_modules|src)\//, "$1/");
}
