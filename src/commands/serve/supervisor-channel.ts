import cluster from "node:cluster";
import type { Figures, Place, SupervisorMessage, WorkerMessage } from "./process-messages.ts";

/** A worker process's way to its supervisor. */
export interface SupervisorChannel extends Place {
  /** Tells the supervisor something. Resolves when it is sent, also where nobody hears it any more. */
  tell(message: WorkerMessage): Promise<void>;
  /** The figures of all processes as Prometheus text. Undefined where the supervisor does not answer within a second. */
  sum(): Promise<string | undefined>;
  /** Resolves when this process has to stop: it was told, by the supervisor or a signal, or the supervisor is gone. */
  stopWanted(): Promise<"told" | "supervisorGone">;
}

/** Says hello, and waits for its place. `figures` answers the supervisor's question for this process's own figures. */
export async function openSupervisorChannel(figures: () => Promise<Figures>): Promise<SupervisorChannel> {
  const welcome = Promise.withResolvers<Place>();
  const stop = Promise.withResolvers<"told" | "supervisorGone">();
  const waiting = new Map<number, (text: string) => void>();
  let nextId = 0;

  process.on("message", (message: SupervisorMessage) => {
    switch (message.kind) {
      case "welcome":
        return welcome.resolve(message);
      case "stop":
        return stop.resolve("told");
      case "sum":
        return waiting.get(message.id)?.(message.text);
      case "figuresWanted":
        return void figures().then((own) => tell({ kind: "figures", id: message.id, figures: own }));
    }
  });
  await tell({ kind: "hello" });
  const { number, migrates } = await welcome.promise;

  async function sum(): Promise<string | undefined> {
    const id = nextId++;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    waiting.set(id, resolve);
    const timer = setTimeout(resolve, sumTimeoutMs, undefined);
    void tell({ kind: "sumWanted", id });
    const text = await promise;
    clearTimeout(timer);
    waiting.delete(id);
    return text;
  }

  return {
    number,
    migrates,
    tell,
    sum,
    stopWanted() {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.resolve("told"));
      cluster.worker?.on("disconnect", () => {
        // Without this Node.js ends a worker process at once when its supervisor is gone.
        if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
        stop.resolve("supervisorGone");
      });
      return stop.promise;
    },
  };
}

const sumTimeoutMs = 1_000;

function tell(message: WorkerMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, {}, () => resolve());
    else resolve();
  });
}
