import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { type DoorName, doorNames } from "./doors.ts";
import type { FuzzReport } from "./fuzz-report.ts";
import { formatFinding, formatReport, saveReports } from "./report.ts";
import { runFuzz } from "./run-fuzz.ts";
import type { Store } from "./servers.ts";

const usage = `usage: npm run fuzz -- [options]

Sends requests of every kind, good and bad, to every front door of a server that it starts, and looks whether the
server bears it. docs/fuzzing.md explains it.

  --store jetstream|embedded   only this one; left out: one after the other
  --seed N                     what is sent; left out: at random, and printed
  --requests N                 100000: in all, for each store
  --door NAME                  only this one; may be given several times:
                               ${doorNames.slice(0, 5).join(", ")},
                               ${doorNames.slice(5).join(", ")}
  --minutes N                  30: no longer than that for each store`;

const stores = ["jetstream", "embedded"] as const;

interface Arguments {
  stores: readonly Store[];
  seed: number;
  requests: number;
  doors: readonly DoorName[];
  timeLimitMs: number;
}

/** Undefined, with the reason printed, where they cannot be understood. */
function readArguments(): Arguments | undefined {
  try {
    const text = { type: "string" } as const;
    const options = {
      store: text,
      seed: text,
      requests: text,
      door: { ...text, multiple: true },
      minutes: text,
    } as const;
    const { values } = parseArgs({ options });
    const store = values.store === undefined ? undefined : oneOf("--store", values.store, stores);
    const doors = (values.door ?? []).map((name) => oneOf("--door", name, doorNames));
    return {
      stores: store === undefined ? stores : [store],
      seed: wholeNumber("--seed", values.seed, 0) ?? randomInt(2 ** 31),
      requests: wholeNumber("--requests", values.requests, 1) ?? 100_000,
      doors: doors.length === 0 ? doorNames : doors,
      timeLimitMs: (wholeNumber("--minutes", values.minutes, 1) ?? 30) * 60_000,
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return undefined;
  }
}

function oneOf<Name extends string>(option: string, text: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === text);
  if (found === undefined) throw new Error(`${option} must be one of ${names.join(", ")}, and not ${text}`);
  return found;
}

function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  const number = Number(text);
  if (text !== undefined && !(Number.isInteger(number) && number >= least)) {
    throw new Error(`${name} must be a whole number from ${least}, and not ${text}`);
  }
  return text === undefined ? undefined : number;
}

async function main({ stores: wanted, ...given }: Arguments): Promise<FuzzReport[]> {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => interrupted.abort(new Error(`ended by ${signal}`)));
  }
  const reports: FuzzReport[] = [];
  for (const store of wanted) {
    console.log(`seed ${given.seed} on ${store}: ${given.requests} requests`);
    const report = await runFuzz({
      ...given,
      store,
      signal: interrupted.signal,
      onProgress: (line) => console.log(line),
      onFinding: (finding) => console.log(formatFinding(finding)),
    });
    console.log(`\n${formatReport(report)}\n`);
    reports.push(report);
  }
  return reports;
}

const given = readArguments();
if (given === undefined) {
  process.exitCode = 2;
} else {
  try {
    const reports = await main(given);
    console.log(`seed ${given.seed}, kept in ${saveReports(reports)}`);
    process.exitCode = reports.some(({ findingCount }) => findingCount > 0) ? 1 : 0;
  } catch (error) {
    console.error(`seed ${given.seed}:`, error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
