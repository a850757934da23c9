import cluster from "node:cluster";
import type { Addresses, Place, SupervisorMessage, WorkerMessage } from "./process-messages.ts";
import type { WorkerEnd } from "./worker-end.ts";

/** A worker process as its supervisor sees it. */
export interface WorkerProcess {
  number: number;
  pid: number;
  /** Whether it is up and has not ended. */
  isUp(): boolean;
  /** Whether it has ended. */
  hasEnded(): boolean;
  /** Resolves when it is up; never, where it ends before. */
  up: Promise<Addresses>;
  /** Resolves when it has ended. */
  ended: Promise<WorkerEnd>;
  tell(message: SupervisorMessage): void;
  /** Asks it to finish what is in flight and end. One that is not up yet has nothing to finish, and ends at once. */
  stop(): void;
  /** Ends it at once. */
  kill(): void;
}

/** Starts a worker process: this same program again, which shares the ports of the others. What it says of its figures goes to `onMessage`. */
export function startWorkerProcess(
  place: Place,
  onMessage: (message: WorkerMessage, from: WorkerProcess) => void,
): WorkerProcess {
  // The processes accept by themselves. By the other policy this process accepts and passes connections on, and one that is on its way to
  // a process which is killed stays open with nobody to answer it.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const worker = cluster.fork();
  const up = Promise.withResolvers<Addresses>();
  const ended = Promise.withResolvers<WorkerEnd>();
  let state: "starting" | "up" | "ended" = "starting";
  let failure: string | undefined;

  const end = (code: number | null, signal: string | null): void => {
    state = "ended";
    ended.resolve({ code, signal, failure });
  };
  // The exit may be heard of before the last messages, which say why: the channel closes after them.
  const allHeard = new Promise<void>((resolve) => worker.once("disconnect", resolve));
  worker.on("exit", (code: number | null, signal: string | null) => void allHeard.then(() => end(code, signal)));
  worker.on("error", (error) => {
    // One that the system did not start at all has no exit.
    if (worker.process.pid !== undefined) return;
    failure = `it cannot be started (${error.message}): give the system more memory or processes, or set TELLWIRE_PROCESSES lower`;
    end(null, null);
  });
  worker.on("message", (message: WorkerMessage) => {
    switch (message.kind) {
      case "hello":
        return tell({ kind: "welcome", ...place });
      case "failed":
        failure = message.text;
        return;
      case "up":
        state = "up";
        return up.resolve({ http: message.http, grpc: message.grpc });
      default:
        return onMessage(message, self);
    }
  });

  function tell(message: SupervisorMessage): void {
    // Where it cannot be sent, the process is about to end, which is heard of anyway.
    if (worker.isConnected()) worker.process.send(message, undefined, {}, () => {});
  }

  const self: WorkerProcess = {
    number: place.number,
    pid: worker.process.pid ?? 0,
    isUp: () => state === "up",
    hasEnded: () => state === "ended",
    up: up.promise,
    ended: ended.promise,
    tell,
    stop: () => (state === "up" ? tell({ kind: "stop" }) : void worker.process.kill("SIGTERM")),
    kill: () => void worker.process.kill("SIGKILL"),
  };
  return self;
}
