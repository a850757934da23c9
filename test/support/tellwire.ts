import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { guardServer } from "./server-guard.ts";
import { makeTemporaryFolder } from "./temporary-folder.ts";

/** Tellwire as its users run it: a process of its own, configured by the environment alone. */
export interface TellwireProcess {
  pid: number;
  httpUrl: string;
  grpcUrl: string;
  operatorKey: string;
  /** What it has printed so far. */
  output(): string;
  /** Resolves when it has ended; null where a signal ended it. The last lines may be on their way still. */
  exitCode: Promise<number | null>;
  /** Resolves when it and the processes that it started have ended, and all that they printed is in `output`. */
  closed: Promise<void>;
  /** SIGTERM, and waits until it is closed. Returns the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL, and waits until it is closed. */
  kill(): Promise<void>;
}

/** What all processes of one deployment share. */
export interface TellwireSettings {
  environment: Readonly<Record<string, string>>;
  operatorKey: string;
}

/** Settings with an operator key, loopback receivers, free ports and no rate limits. Without a database URL, a data folder that disappears. */
export function tellwireSettings(environment: Record<string, string> = {}): TellwireSettings {
  const operatorKey = randomBytes(24).toString("base64url");
  return {
    operatorKey,
    environment: {
      TELLWIRE_HTTP_ADDR: "127.0.0.1:0",
      TELLWIRE_GRPC_ADDR: "127.0.0.1:0",
      TELLWIRE_OPERATOR_KEY: operatorKey,
      TELLWIRE_SECRETS_KEY: randomBytes(32).toString("base64"),
      TELLWIRE_ALLOW_HTTP: "true",
      TELLWIRE_ALLOW_ADDRESSES: "127.0.0.0/8",
      TELLWIRE_AUTO_MIGRATE: "true",
      // Tests call as fast as they can, with wrong keys too, from one address.
      TELLWIRE_RATE_LIMIT_PER_KEY: "off",
      TELLWIRE_RATE_LIMIT_PER_ORGANIZATION: "off",
      TELLWIRE_RATE_LIMIT_RECEIVER_CALLS: "off",
      TELLWIRE_RATE_LIMIT_FAILED_LOGINS: "off",
      ...(environment.TELLWIRE_DATABASE_URL === undefined
        ? { TELLWIRE_DATA_DIR: makeTemporaryFolder("tellwire").path }
        : {}),
      ...environment,
    },
  };
}

const command = fileURLToPath(new URL("../../src/cli.ts", import.meta.url));
/** Only keeps a run from hanging. */
const startTimeoutMs = 120_000;

/** What it says when Postgres or NATS took longer than a start waits for them. Both are there: the machine was busy. */
const tookTooLong = /timeout expired|cannot connect to \S+ .*timeout/;

/**
 * Starts `tellwire serve` and waits until it is up; where it gives up because a server took too long, it is started again, as whoever supervises it does.
 * Throws with what it printed where it ends for another reason.
 */
export async function startTellwire(settings: TellwireSettings): Promise<TellwireProcess> {
  const deadline = performance.now() + startTimeoutMs;
  for (;;) {
    const started = await startOnce(settings, Math.max(0, deadline - performance.now()));
    if (!("failure" in started)) {
      return started;
    }
    if (!tookTooLong.test(started.failure) || performance.now() > deadline) {
      throw new Error(started.failure);
    }
  }
}

async function startOnce(
  settings: TellwireSettings,
  timeoutMs: number,
): Promise<TellwireProcess | { failure: string }> {
  const child = spawn(process.execPath, [command, "serve"], {
    env: { PATH: process.env.PATH ?? "", ...settings.environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  if (child.pid !== undefined) {
    const guard = guardServer({ pid: child.pid, signal: "SIGKILL" });
    void exited.then(() => guard.release());
  }
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const up = upLine(child, lines);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const urls = await Promise.race([up, exited]);
  clearTimeout(timer);
  if (urls === null || typeof urls === "number") {
    await closed;
    return { failure: `tellwire did not start (exit code ${urls}):\n${lines.join("\n")}` };
  }
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    await closed;
    return await exited;
  };
  return {
    pid: child.pid ?? 0,
    httpUrl: urls.http,
    grpcUrl: urls.grpc,
    operatorKey: settings.operatorKey,
    output: () => lines.join("\n"),
    exitCode: exited,
    closed,
    stop: () => end("SIGTERM"),
    kill: async () => void (await end("SIGKILL")),
  };
}

/** The log line that says where the servers listen. */
function upLine(child: ChildProcess, lines: string[]): Promise<{ http: string; grpc: string }> {
  return new Promise((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) {
        createInterface({ input: stream }).on("line", (line) => {
          lines.push(line);
          if (line.includes('"tellwire is up"')) {
            resolve(JSON.parse(line) as { http: string; grpc: string });
          }
        });
      }
    }
  });
}
