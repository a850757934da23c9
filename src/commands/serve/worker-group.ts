import { setTimeout as delay } from "node:timers/promises";
import { TellwireError } from "../../errors.ts";
import type { Log } from "../../telemetry/log.ts";
import { createMetricsSum } from "./metrics-sum.ts";
import type { Addresses, Place, WorkerMessage } from "./process-messages.ts";
import { restartDelayMs } from "./restart-delay.ts";
import { describeEnd } from "./worker-end.ts";
import { startWorkerProcess, type WorkerProcess } from "./worker-process.ts";

/** The worker processes of one supervisor. */
export interface WorkerGroup {
  /**
   * Starts them all, the first one before the others, so that what is wrong with all of them is found once. Throws what the first failure says;
   * those that run then are for `stop`. From then on a process that ends is replaced.
   */
  start(): Promise<Addresses>;
  /** The ids of the processes, in the order of their numbers. */
  pids(): number[];
  /** Lets all of them finish what is in flight, at the same time. Throws where one of them did not end in good order. */
  stop(): Promise<void>;
  /** Ends all of them at once. */
  kill(): void;
}

export interface WorkerGroupOptions {
  count: number;
  log: Log;
  /** A clock that only goes forward, in milliseconds. */
  now?: () => number;
}

export function createWorkerGroup({ count, log, now = () => performance.now() }: WorkerGroupOptions): WorkerGroup {
  /** By number; of each number the process that was started last. */
  const workers = new Map<number, WorkerProcess>();
  const stopping = new AbortController();
  const running = (): WorkerProcess[] => [...workers.values()].filter((worker) => !worker.hasEnded());
  const sum = createMetricsSum<WorkerProcess>({
    processes: () => running().filter((worker) => worker.isUp()),
    ask: (worker, id) => worker.tell({ kind: "figuresWanted", id }),
  });

  function onMessage(message: WorkerMessage, from: WorkerProcess): void {
    if (message.kind === "figures") sum.answered(from, message.id, message.figures);
    if (message.kind === "sumWanted") void sum.text().then((text) => from.tell({ kind: "sum", id: message.id, text }));
  }

  function startOne(place: Place): WorkerProcess {
    const worker = startWorkerProcess(place, onMessage);
    workers.set(place.number, worker);
    void worker.ended.then(() => sum.ended(worker));
    return worker;
  }

  async function startFirst(place: Place): Promise<Addresses> {
    const { number } = place;
    const worker = startOne(place);
    const startedMs = now();
    const ended = worker.ended.then((end): never => {
      const why = end.failure ?? `process ${number} ended before it was up: ${describeEnd(end)}`;
      throw new TellwireError("INTERNAL", why);
    });
    const addresses = await Promise.race([worker.up, ended]);
    void replaceForEver(worker, startedMs);
    return addresses;
  }

  async function replaceForEver(first: WorkerProcess, firstStartedMs: number): Promise<void> {
    let worker = first;
    let startedMs = firstStartedMs;
    let endsInARow = 0;
    for (;;) {
      const end = await worker.ended;
      if (stopping.signal.aborted) return;
      const { number, pid } = worker;
      endsInARow = now() - startedMs < longLifeMs ? endsInARow + 1 : 1;
      const delayMs = restartDelayMs(endsInARow);
      log.error(
        { process: number, pid, startInMs: delayMs },
        `process ${number} ended and is replaced: ${describeEnd(end)}`,
      );
      await delay(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return;
      worker = startOne({ number, migrates: false });
      startedMs = now();
      void tellWhenUp(worker);
    }
  }

  async function tellWhenUp({ number, pid, up }: WorkerProcess): Promise<void> {
    log.info({ process: number, pid, ...(await up) }, `process ${number} is up again`);
  }

  return {
    async start() {
      const addresses = await startFirst({ number: 1, migrates: true });
      const others = Array.from({ length: count - 1 }, (_, index) => ({ number: index + 2, migrates: false }));
      await Promise.all(others.map(startFirst));
      return addresses;
    },
    pids: () => running().map(({ pid }) => pid),
    async stop() {
      stopping.abort();
      const failures = await Promise.all(running().map(stopOne));
      const failure = failures.find((text) => text !== undefined);
      if (failure !== undefined) throw new TellwireError("INTERNAL", failure);
    },
    kill() {
      stopping.abort();
      for (const worker of running()) worker.kill();
    },
  };
}

/** A process that lived for this long has not ended because of what ended the one before it. */
const longLifeMs = 60_000;

/** Says what went wrong, where something did. */
async function stopOne(worker: WorkerProcess): Promise<string | undefined> {
  const wasUp = worker.isUp();
  worker.stop();
  const end = await worker.ended;
  if (!wasUp || end.code === 0) return undefined;
  return `process ${worker.number} did not stop in good order: ${describeEnd(end)}`;
}
