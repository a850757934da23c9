import { mkdir } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import { bullmq } from "./parts/bullmq.ts";
import { ceiling } from "./parts/ceiling.ts";
import { fanOut } from "./parts/fan-out.ts";
import { latency } from "./parts/latency.ts";
import { neighbours } from "./parts/neighbours.ts";
import { type BenchRun, fullScale, type Part, quickScale } from "./parts/part.ts";
import { processes } from "./parts/processes.ts";
import { rows } from "./parts/rows.ts";
import { throughput } from "./parts/throughput.ts";
import { webhooks } from "./parts/webhooks.ts";
import { eventDataBytes } from "./processes/event-data.ts";
import { type Closing, createClosing } from "./stage/closing.ts";
import { printHottest } from "./stage/cpu-profile.ts";
import { describeMachine } from "./stage/machine.ts";
import { LossError } from "./stage/measure-burst.ts";
import { openStage, postgresSettings } from "./stage/stage.ts";
import { buildTellwire, type TellwireProgram, tellwireSettings } from "./stage/tellwire-server.ts";

/** The parts of the bench of deliveries, in the order in which they run. */
export const parts: Readonly<Record<string, Part>> = {
  ceiling,
  throughput,
  latency,
  "fan-out": fanOut,
  neighbours,
  webhooks,
  rows,
  processes,
  bullmq,
};

/**
 * Runs parts on one set of servers, which end with it in any case, also on Ctrl-C. `isComplete` is false where a part failed, such as by
 * losing deliveries: the others are measured all the same.
 */
export async function runParts(
  names: readonly string[],
  { program, quick }: { program: TellwireProgram; quick: boolean },
): Promise<{ results: object; isComplete: boolean }> {
  const machine = describeMachine(program.source);
  const closing = createClosing();
  endOnSignal(closing);
  if (program.profileFolder !== undefined) await mkdir(program.profileFolder, { recursive: true });
  buildTellwire(program);
  try {
    const stage = await openStage(program, closing);
    const scale = quick ? quickScale : fullScale;
    console.log(`${machine.cpu}, ${availableParallelism()} cores, Node ${machine.node}, ${stage.versions.postgres}`);
    const { measured, failures } = await measureAll(names, { stage, scale });
    const settings = { scale, quick, eventDataBytes, postgres: postgresSettings, tellwire: tellwireSettings };
    const versions = { ...stage.versions, node: machine.node };
    return { results: { machine, versions, settings, failures, parts: measured }, isComplete: failures.length === 0 };
  } finally {
    await closing.close();
    if (program.profileFolder !== undefined) printHottest(program.profileFolder);
  }
}

/** What is under way fails when its servers go; nothing is said of that. */
function endOnSignal(closing: Closing): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      console.error("\ninterrupted: ending the servers");
      console.log = () => {};
      console.table = () => {};
      console.error = () => {};
      void closing.close().finally(() => process.exit(130));
    });
  }
}

async function measureAll(
  names: readonly string[],
  run: BenchRun,
): Promise<{ measured: Record<string, object>; failures: string[] }> {
  const measured: Record<string, object> = {};
  const failures: string[] = [];
  for (const name of names) {
    const started = performance.now();
    try {
      measured[name] = (await parts[name]?.run(run)) ?? {};
    } catch (error) {
      const isLoss = error instanceof LossError;
      console.error(`\n${name} FAILED:`, isLoss ? error.message : error);
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`(${name}: ${seconds} s, load average ${loadavg()[0]?.toFixed(1)})`);
  }
  return { measured, failures };
}
