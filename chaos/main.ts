import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import type { ChaosReport } from "./chaos-report.ts";
import { formatReports, keepLogs, saveReports } from "./report.ts";
import { runChaos } from "./run-chaos.ts";

const usage = `usage: npm run chaos -- [options]

Publishes events while receivers fail and Tellwire, Postgres, NATS and the connections between them are broken, and
then looks whether every event has arrived. docs/chaos.md explains it.

  --broker jetstream|postgres   only this one; left out: one after the other
  --seed N                      what happens, and when; left out: at random, and printed
  --events N                    20000
  --kills N                     30: SIGKILLs; other disturbances come on top
  --processes N                 2: processes of Tellwire
  --seconds N                   how long things break; left out: 3.5 for each kill
  --runs N                      1: each run after the first has the next seed
  --keep-logs                   also of runs that went well`;

const brokers = ["jetstream", "postgres"] as const;

interface Arguments {
  brokers: readonly (typeof brokers)[number][];
  seed: number;
  events: number;
  kills: number;
  processes: number;
  durationMs: number;
  runs: number;
  /** Also those of runs that went well. */
  keepsLogs: boolean;
}

/** Undefined, with the reason printed, where they cannot be understood. */
function readArguments(): Arguments | undefined {
  try {
    const text = { type: "string" } as const;
    const { values } = parseArgs({
      options: {
        broker: text,
        seed: text,
        events: text,
        kills: text,
        processes: text,
        seconds: text,
        runs: text,
        "keep-logs": { type: "boolean", default: false },
      },
    });
    const broker = brokers.find((name) => name === values.broker);
    if (values.broker !== undefined && broker === undefined) {
      throw new Error(`--broker must be ${brokers.join(" or ")}`);
    }
    const kills = wholeNumber("--kills", values.kills, 0) ?? 30;
    return {
      brokers: broker === undefined ? brokers : [broker],
      seed: wholeNumber("--seed", values.seed, 0) ?? randomInt(2 ** 31),
      events: wholeNumber("--events", values.events, 1) ?? 20_000,
      kills,
      processes: wholeNumber("--processes", values.processes, 1) ?? 2,
      durationMs: (wholeNumber("--seconds", values.seconds, 1) ?? Math.max(5, kills * 3.5)) * 1_000,
      runs: wholeNumber("--runs", values.runs, 1) ?? 1,
      keepsLogs: values["keep-logs"],
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return undefined;
  }
}

function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  const number = Number(text);
  if (text !== undefined && !(Number.isInteger(number) && number >= least)) {
    throw new Error(`${name} must be a whole number from ${least}, and not ${text}`);
  }
  return text === undefined ? undefined : number;
}

/** The line of the progress stays one line on a terminal; elsewhere every tenth is enough. */
function createProgress(): { show(line: string): void; clear(): void } {
  let shown = 0;
  return {
    show(line) {
      if (process.stdout.isTTY) {
        process.stdout.write(`\r\u001b[K${line}`);
      } else if (shown++ % 10 === 0) {
        console.log(line);
      }
    },
    clear() {
      if (process.stdout.isTTY) {
        process.stdout.write("\r\u001b[K");
      }
    },
  };
}

async function main(given: Arguments): Promise<ChaosReport[]> {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => interrupted.abort(new Error(`ended by ${signal}`)));
  }
  const reports: ChaosReport[] = [];
  for (let run = 0; run < given.runs; run++) {
    for (const broker of given.brokers) {
      const seed = given.seed + run;
      console.log(`seed ${seed} on ${broker}: ${given.events} events, ${given.kills} kills`);
      const progress = createProgress();
      const report = await runChaos({
        ...given,
        broker,
        seed,
        signal: interrupted.signal,
        onProgress: progress.show,
        onResult(result, problems, logs) {
          progress.clear();
          if (result.hasFailed || given.keepsLogs) {
            console.error(`kept in ${keepLogs(result, problems, logs)}`);
          }
          for (const { kind, what, webhook, eventNumber } of problems.slice(0, 20)) {
            if (what !== undefined) {
              console.error(`  ${kind}: event chaos-${eventNumber} to ${webhook}: ${what}`);
            }
          }
        },
      });
      progress.clear();
      reports.push(report);
    }
  }
  return reports;
}

const given = readArguments();
if (given === undefined) {
  process.exitCode = 2;
} else {
  try {
    const reports = await main(given);
    console.log(`\n${formatReports(reports)}\n`);
    console.log(`seed ${given.seed}, kept in ${saveReports(reports, given)}`);
    process.exitCode = reports.some(({ hasFailed }) => hasFailed) ? 1 : 0;
  } catch (error) {
    console.error(`seed ${given.seed}:`, error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
// What an early end left waiting, such as a disturbance with its time to come, is not waited for.
process.exit();
