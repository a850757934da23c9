/** How a worker process ended: by its exit code, or by a signal. */
export interface WorkerEnd {
  code: number | null;
  signal: string | null;
  /** Why it could not start, where it said so. */
  failure: string | undefined;
}

/** How it ended, and what an operator can do about it: `exit code 1: its last lines say why`. */
export function describeEnd({ code, signal, failure }: WorkerEnd): string {
  if (failure !== undefined) return failure;
  if (signal === "SIGKILL") {
    return "SIGKILL: where the system ran out of memory, give it more, or set TELLWIRE_PROCESSES lower";
  }
  if (code === 0) return "somebody stopped it alone: a signal to the supervisor stops all processes";
  // Node.js aborts itself where its heap is full.
  if (signal === "SIGABRT") return "SIGABRT: what it wrote last on standard error says why";
  return signal === null ? `exit code ${code}: what it wrote last says why` : `${signal}: somebody sent it that signal`;
}
