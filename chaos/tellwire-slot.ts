import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { guardServer } from "../test/support/server-guard.ts";
import { waitFor } from "../test/support/wait-for.ts";

/** A place where a process of Tellwire runs, and runs again after each of its ends. */
export interface TellwireSlot {
  logFile: string;
  /** Where its API is; undefined while it is not up. */
  httpUrl(): string | undefined;
  /** Resolves when the process of now, or the one that is to be started, is up. */
  up(): Promise<void>;
  /** Ends the process, which may still be starting, and starts the next one after the time. Resolves when that one has begun. */
  end(signal: "SIGKILL" | "SIGTERM", downMs: number): Promise<void>;
  /** The process stands still for the time. */
  freeze(forMs: number): Promise<void>;
  /** How often it ended after it was up without being told to. */
  crashes(): number;
  /** How often it did not end on SIGTERM in time. */
  lateEnds(): number;
  /** Ends the process for good. */
  stop(): Promise<void>;
}

export interface TellwireSlotOptions {
  /** Gets the process's log. */
  folder: string;
  environment: Readonly<Record<string, string>>;
}

const command = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
/** Between an end that nobody asked for, such as without a database at the start, and the next start. */
const restartDelayMs = 300;
const endTimeoutMs = 15_000;
/** Only keeps a run from hanging. */
const upTimeoutMs = 300_000;

/** Starts the first process, without waiting until it is up. */
export function openTellwireSlot({ folder, environment }: TellwireSlotOptions): TellwireSlot {
  mkdirSync(folder, { recursive: true });
  const logFile = join(folder, "log");
  let running = start(logFile, folder, environment);
  let stopped = false;
  let wanted = true;
  let crashes = 0;
  let lateEnds = 0;

  const begin = (): void => {
    wanted = true;
    running = start(logFile, folder, environment);
    watch(running);
  };
  /** Who ends the process on purpose starts the next one. */
  const watch = (process: RunningTellwire): void => {
    void process.exited.then(async () => {
      if (stopped || !wanted) {
        return;
      }
      crashes += process.httpUrl() === undefined ? 0 : 1;
      await delay(restartDelayMs);
      if (!stopped && wanted && running === process) {
        begin();
      }
    });
  };
  watch(running);

  return {
    logFile,
    httpUrl: () => running.httpUrl(),
    async up() {
      await waitFor(() => running.httpUrl() !== undefined, {
        timeoutMs: upTimeoutMs,
        what: `Tellwire, see ${logFile}`,
      });
    },
    async end(signal, downMs) {
      wanted = false;
      running.kill(signal);
      const late = await Promise.race([running.exited, delay(endTimeoutMs, "late" as const, { ref: false })]);
      if (late === "late") {
        lateEnds += 1;
        running.kill("SIGKILL");
        await running.exited;
      }
      await delay(downMs);
      if (!stopped) {
        begin();
      }
    },
    async freeze(forMs) {
      const { kill } = running;
      kill("SIGSTOP");
      await delay(forMs);
      kill("SIGCONT");
    },
    crashes: () => crashes,
    lateEnds: () => lateEnds,
    async stop() {
      stopped = true;
      running.kill("SIGKILL");
      await running.exited;
    },
  };
}

interface RunningTellwire {
  exited: Promise<void>;
  httpUrl(): string | undefined;
  kill(signal: NodeJS.Signals): void;
}

function start(logFile: string, folder: string, environment: Readonly<Record<string, string>>): RunningTellwire {
  const log = openSync(logFile, "a");
  const offset = statSync(logFile).size;
  const child = spawn(process.execPath, [command, "serve"], {
    env: { PATH: process.env.PATH ?? "", ...environment },
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let url: string | undefined;
  let hasExited = false;
  const exited = new Promise<void>((resolve) => {
    const end = (): void => {
      hasExited = true;
      resolve();
    };
    child.once("exit", end);
    child.once("error", end);
  });
  if (child.pid !== undefined) {
    const guard = guardServer({ pid: child.pid, signal: "SIGKILL", folder });
    void exited.then(() => guard.release());
  }
  const looking = setInterval(() => {
    url = hasExited ? undefined : upUrl(logFile, offset);
    if (hasExited || url !== undefined) {
      clearInterval(looking);
    }
  }, 50);
  return {
    exited,
    httpUrl: () => url,
    kill: (signal) => void child.kill(signal),
  };
}

/** From the line that says where the servers listen, if the process has written it. */
function upUrl(logFile: string, offset: number): string | undefined {
  const lines = readPart(logFile, offset).split("\n");
  const line = lines.slice(0, -1).find((text) => text.includes('"tellwire is up"'));
  return line === undefined ? undefined : (JSON.parse(line) as { http: string }).http;
}

/** From the offset on, as far as a process writes that is starting: the logs of a run are long. */
function readPart(file: string, offset: number): string {
  const descriptor = openSync(file, "r");
  try {
    const part = Buffer.alloc(256 * 1024);
    return part.toString("utf8", 0, readSync(descriptor, part, 0, part.length, offset));
  } finally {
    closeSync(descriptor);
  }
}
