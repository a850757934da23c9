import type { CeilingCalls, CeilingRun } from "../processes/ceiling-sender.ts";
import { type HarnessProcess, startHarnessProcess } from "./calls.ts";
import { cpuMsOf } from "./process-usage.ts";
import type { Stage } from "./stage.ts";

/** Signed POSTs from one process to the receiver, with nothing else in it. */
export interface Ceiling {
  /** The number of connections that was fastest. */
  connections: number;
  /** Sends for some seconds, by the way of undici that is named. */
  measure(by: CeilingRun["by"], seconds: number): Promise<CeilingResult>;
  stop(): Promise<void>;
}

/** What one run of the ceiling did. */
export interface CeilingResult {
  connections: number;
  perSecond: number;
  /** CPU of the sender and of the receiver for a thousand requests, in milliseconds. */
  cpuMsPerThousand: { sender: number; receiver: number };
}

/** Starts the sender and finds out with how many connections it is fastest to this receiver, by a short run with each number. */
export async function openCeiling(
  stage: Stage,
  { origin, tuningSeconds }: { origin: string; tuningSeconds: number },
): Promise<Ceiling> {
  const sender = startHarnessProcess<CeilingCalls>("ceiling-sender.ts");
  stage.closing.add(() => sender.stop());
  let best: CeilingResult | undefined;
  // The first run is for warming up.
  for (const connections of [32, ...candidates]) {
    const result = await run(stage, sender, { origin, connections, seconds: tuningSeconds, by: "dispatch" });
    if (best === undefined || result.perSecond > best.perSecond) best = result;
  }
  const connections = best?.connections ?? 32;
  return {
    connections,
    measure: (by, seconds) => run(stage, sender, { origin, connections, seconds, by }),
    stop: () => sender.stop(),
  };
}

const candidates = [8, 16, 32, 64, 128];

async function run(
  stage: Stage,
  sender: HarnessProcess<CeilingCalls>,
  settings: Pick<CeilingRun, "origin" | "connections" | "seconds" | "by">,
): Promise<CeilingResult> {
  const group = "ceiling";
  const paths = Array.from({ length: 20 }, (_, index) => `/${group}/${index}`);
  await stage.receiver.call("reset", { group });
  const before = { sender: cpuMsOf(sender.pid), receiver: cpuMsOf(stage.receiver.pid) };
  const done = await sender.call("run", { paths, ...settings });
  const received = await stage.receiver.call("count", { group });
  if (received !== done.sent) throw new Error(`the ceiling sent ${done.sent} requests, and ${received} arrived`);
  const perThousand = (cpuMs: number): number => (cpuMs / done.sent) * 1000;
  return {
    connections: settings.connections,
    perSecond: done.sent / done.seconds,
    cpuMsPerThousand: {
      sender: perThousand(cpuMsOf(sender.pid) - before.sender),
      receiver: perThousand(cpuMsOf(stage.receiver.pid) - before.receiver),
    },
  };
}
