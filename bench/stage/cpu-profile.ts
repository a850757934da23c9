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
  console.log(`\nSelf time in ${newest}`);
  console.table(
    hottest(
      profile,
      ({ functionName, url, lineNumber }) => `${functionName || "(anonymous)"} ${shortUrl(url)}:${lineNumber + 1}`,
    ),
  );
  console.table(hottest(profile, ({ functionName, url }) => (url === "" ? functionName : shortUrl(url))));
}

/** The format of V8's CPU profiles. Times in microseconds. */
interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame }[];
  samples: number[];
  timeDeltas: number[];
}

interface CallFrame {
  functionName: string;
  url: string;
  lineNumber: number;
}

const shown = 30;

/** Shares of the time in which the process was not idle. */
function hottest(profile: CpuProfile, nameOf: (frame: CallFrame) => string): { where: string; "%": string }[] {
  const nameById = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const idle = new Set(
    profile.nodes.filter(({ callFrame }) => callFrame.functionName === "(idle)").map(({ id }) => id),
  );
  const micros = new Map<string, number>();
  let total = 0;
  for (const [place, id] of profile.samples.entries()) {
    if (idle.has(id)) continue;
    const name = nameById.get(id) ?? "";
    const delta = profile.timeDeltas[place] ?? 0;
    micros.set(name, (micros.get(name) ?? 0) + delta);
    total += delta;
  }
  const sorted = [...micros].toSorted(([, one], [, other]) => other - one).slice(0, shown);
  return sorted.map(([where, time]) => ({ where, "%": ((time / total) * 100).toFixed(1) }));
}

function shortUrl(url: string): string {
  return url.replace(/^file:\/\/.*\/(node_modules|src)\//, "$1/");
}
