import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { guardServer } from "./server-guard.ts";
import { waitFor } from "./wait-for.ts";

export interface ServerProcess {
  pid: number;
  /** Asks the process to end, and waits until it has. */
  stop(): Promise<void>;
  /** Ends the process as a crash would (SIGKILL), and waits until it is gone. */
  kill(): Promise<void>;
}

export interface ServerProcessOptions {
  program: string;
  args: readonly string[];
  /** What the server writes. It gets a file `log` with what the server prints, and is removed where this process is gone without stopping it. */
  folder: string;
  /** Whom the server runs as; left out: whoever runs the tests. */
  user?: { uid: number; gid: number } | undefined;
  /** Variables of its environment; left out: those of this process. */
  environment?: Readonly<Record<string, string>> | undefined;
  /** Asks the server to end in good order. */
  stopSignal: NodeJS.Signals;
  /** Ends the server at once where this process is gone without having stopped it. */
  guardSignal: NodeJS.Signals;
  /** Becomes true when the server answers; throwing counts as not yet. */
  isReady: () => Promise<boolean>;
}

/** Both only keep a run from hanging. */
const startTimeoutMs = 120_000;
const stopTimeoutMs = 60_000;

/** Starts a server and waits until it is ready. Throws with the end of its log where it exits before. */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const logFile = join(options.folder, "log");
  const log = openSync(logFile, "a");
  const child = spawn(options.program, [...options.args], {
    ...options.user,
    ...(options.environment !== undefined && { env: options.environment }),
    cwd: "/",
    // Ctrl-C is for the tests, which stop the server.
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let failure: Error | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", (error) => {
      failure = error;
      resolve();
    });
  });
  const hasExited = (): boolean => failure !== undefined || child.exitCode !== null || child.signalCode !== null;
  if (child.pid !== undefined) {
    const guard = guardServer({ pid: child.pid, signal: options.guardSignal, folder: options.folder });
    void exited.then(() => guard.release());
  }

  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    const late = await Promise.race([exited, delay(stopTimeoutMs, "late" as const, { ref: false })]);
    if (late === "late") {
      child.kill("SIGKILL");
      await exited;
    }
  };

  try {
    await waitFor(
      async () => {
        if (hasExited()) {
          return true;
        }
        return await options.isReady().catch(() => false);
      },
      { timeoutMs: startTimeoutMs, what: `${options.program} to answer` },
    );
  } catch (error) {
    await end("SIGKILL");
    throw error;
  }
  if (hasExited()) {
    const why = failure?.message ?? `it exited with ${child.exitCode ?? child.signalCode}`;
    throw new Error(`${options.program} did not start: ${why}\n${endOf(logFile)}`);
  }
  return { pid: child.pid ?? 0, stop: () => end(options.stopSignal), kill: () => end("SIGKILL") };
}

function endOf(logFile: string): string {
  return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-20).join("\n");
}
