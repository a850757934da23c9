import { setTimeout as delay } from "node:timers/promises";
import type { Door, Planned } from "./door.ts";
import { type DoorName, openDoors } from "./doors.ts";
import type { DoorReport, Finding, FuzzReport } from "./fuzz-report.ts";
import { logFindings } from "./log-findings.ts";
import { judgeMemory, type MemorySample, sampleMemory } from "./memory.ts";
import { type Servers, type Store, startServers } from "./servers.ts";
import { findOutWhetherItWorks } from "./still-works.ts";
import { createWorld, type World } from "./world.ts";

export interface FuzzOptions {
  store: Store;
  /** Decides every request, but for the ids that the server makes. */
  seed: number;
  /** In all, spread evenly over the doors. */
  requests: number;
  doors: readonly DoorName[];
  /** No round begins after it, in milliseconds; the run is a finding then, because it is not complete. */
  timeLimitMs: number;
  onProgress: (line: string) => void;
  /** Each finding that is kept, as soon as it is known: a run that is ended early must not take them with it. */
  onFinding: (finding: Finding) => void;
  signal?: AbortSignal;
}

/** One run: starts the server, sends everything, and looks whether it is as well as before. */
export async function runFuzz(options: FuzzOptions): Promise<FuzzReport> {
  await using closing = new AsyncDisposableStack();
  const servers = await startServers(options.store);
  closing.defer(servers.close);
  const { tellwire, receiver } = servers;
  const world = await createWorld({ ...tellwire, receiverUrl: receiver.url });
  const doors = await openDoors(options.doors, servers, world);
  for (const door of doors) closing.defer(async () => await door.close());

  const startedAt = performance.now();
  const run = createRun(doors, options.onFinding);
  const samples = await sendAll({ options, servers, world, run });
  const memory = judgeMemory(samples);
  const durationMs = performance.now() - startedAt;
  const ended = await hasEnded(tellwire.exitCode);
  if (ended) run.found({ problem: "the process has ended" });
  const broken = ended ? undefined : await findOutWhetherItWorks(tellwire, receiver);
  if (broken !== undefined) run.found({ problem: broken });
  // A few requests say nothing about memory: the caches of the start are still filling.
  if (memory.problem !== undefined && options.requests >= leastForMemory) run.found({ problem: memory.problem });
  for (const problem of logFindings(tellwire.output())) run.found({ problem });
  return { ...options, ...run.report(), memory, durationMs };
}

/** A round is as many requests a door as it takes for its batches to be worth their making, and few enough to see the memory between them. */
const mostPerRound = 250;
const leastForMemory = 20_000;
/** Of the same problem at the same door. */
const mostOfAKind = 2;
const mostKept = 200;

/** A server that does not answer any more ends the run. */
async function isMadeAnew(world: World, run: Run): Promise<boolean> {
  try {
    await Promise.race([world.refresh(), delay(refreshTimeoutMs, undefined, { ref: false }).then(hangs)]);
    return true;
  } catch (error) {
    run.found({ problem: `between two rounds: ${error instanceof Error ? error.message : error}` });
    return false;
  }
}

const refreshTimeoutMs = 180_000;

function hangs(): never {
  throw new Error(`the server gave no answers within ${refreshTimeoutMs / 1000} s`);
}

interface Run {
  doors: readonly { door: Door; report: DoorReport }[];
  found(finding: { door?: string; problem: string; request?: string }): void;
  findings(): number;
  report(): Pick<FuzzReport, "doors" | "findings" | "findingCount"> & { requests: number };
}

function createRun(doors: readonly Door[], onFinding: FuzzOptions["onFinding"]): Run {
  const entries = doors.map((door) => ({ door, report: { door: door.name, requests: 0, answers: {} } }));
  const findings: Finding[] = [];
  const kinds = new Map<string, number>();
  let findingCount = 0;
  return {
    doors: entries,
    found({ door, problem, request }) {
      findingCount += 1;
      const kind = `${door} ${problem.replaceAll(/[\d"'][^ ]*/g, "…").slice(0, 80)}`;
      const ofThisKind = (kinds.get(kind) ?? 0) + 1;
      kinds.set(kind, ofThisKind);
      if (ofThisKind > mostOfAKind || findings.length >= mostKept) return;
      const finding = { door, problem, request };
      findings.push(finding);
      onFinding(finding);
    },
    findings: () => findingCount,
    report: () => ({
      doors: entries.map(({ report }) => report),
      requests: entries.reduce((sum, { report }) => sum + report.requests, 0),
      findings,
      findingCount,
    }),
  };
}

interface Sending {
  options: FuzzOptions;
  servers: Servers;
  world: World;
  run: Run;
}

/** In rounds, one door after the other in each; between them the world is made anew and the memory is looked at. */
async function sendAll({ options, servers, world, run }: Sending): Promise<MemorySample[]> {
  const { tellwire, receiver } = servers;
  const perDoor = Math.ceil(options.requests / run.doors.length);
  const rounds = Math.ceil(perDoor / mostPerRound);
  const startedAt = performance.now();
  const samples: MemorySample[] = [];
  for (let round = 0; round < rounds; round++) {
    if (await hasEnded(tellwire.exitCode)) break;
    if (performance.now() - startedAt > options.timeLimitMs) {
      run.found({ problem: `the time was over after ${round} of ${rounds} rounds` });
      break;
    }
    if (round > 0 && !(await isMadeAnew(world, run))) break;
    receiver.requests.length = 0;
    const count = Math.min(mostPerRound, perDoor - round * mostPerRound);
    // One door after the other: what is timed at one must not wait for the others.
    for (const [index, each] of run.doors.entries()) {
      options.signal?.throwIfAborted();
      await sendRound(each, each.door.plan(seedOf(options.seed, round, index), count), run);
    }
    samples.push(await sampleMemory(tellwire));
    const sent = run.report().requests;
    options.onProgress(
      `${sent} requests, ${run.findings()} findings, ${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
    );
  }
  return samples;
}

async function sendRound({ door, report }: Run["doors"][number], planned: readonly Planned[], run: Run): Promise<void> {
  const left = planned.values();
  const worker = async (): Promise<void> => {
    for (const each of left) {
      const { label, problem } = await answerTo(each);
      report.requests += 1;
      report.answers[label] = (report.answers[label] ?? 0) + 1;
      if (problem !== undefined) run.found({ door: door.name, problem, request: each.describe() });
    }
  };
  await Promise.all(Array.from({ length: door.atOnce }, worker));
}

/** Longer than any door waits by itself: what is not over by then hangs, on one side or the other. */
const answerDeadlineMs = 180_000;

/** A request that fails on this side, or is not answered in time, is a finding too. */
async function answerTo(planned: Planned): ReturnType<Planned["send"]> {
  const overdue = new AbortController();
  const deadline = delay(answerDeadlineMs, undefined, { signal: overdue.signal }).then(
    () => ({ label: "no end", problem: `no end within ${answerDeadlineMs / 1000} s` }),
    () => ({ label: "no end" }),
  );
  try {
    return await Promise.race([planned.send(), deadline]);
  } catch (error) {
    return { label: "failed", problem: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
  } finally {
    overdue.abort();
  }
}

function seedOf(seed: number, round: number, door: number): number {
  return (seed + round * 1_009 + door * 104_729) | 0;
}

async function hasEnded(exitCode: Promise<unknown>): Promise<boolean> {
  const running = Symbol("running");
  return (await Promise.race([exitCode, Promise.resolve(running)])) !== running;
}
