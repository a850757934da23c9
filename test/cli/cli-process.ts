import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { waitFor } from "../support/wait-for.ts";

/** A `tellwire` command that runs. */
export interface CliProcess {
  /** What it wrote so far. */
  stdout(): string;
  stderr(): string;
  /** Waits until standard output matches. Throws with all that was written where the process ends before. */
  waitForOutput(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, when the process has ended. */
  exitCode: Promise<number | null>;
}

const cli = join(import.meta.dirname, "..", "..", "src", "cli.ts");

/** Runs `tellwire` from the sources with these variables and no other `TELLWIRE_` ones. It ends with the test process at the latest. */
export function startCli(
  parameters: readonly string[],
  variables: Readonly<Record<string, string>> = {},
  input = "",
): CliProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TELLWIRE_"));
  const child = spawn(process.execPath, [cli, ...parameters], {
    env: { ...Object.fromEntries(inherited), ...variables },
    stdio: [input === "" ? "ignore" : "pipe", "pipe", "pipe"],
  });
  // A command that ends before it has read all of it says why by itself.
  child.stdin?.on("error", () => {}).end(input);
  const stop = (): void => void child.kill("SIGKILL");
  process.once("exit", stop);
  const exitCode = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      process.off("exit", stop);
      resolve(code);
    });
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  return {
    stdout,
    stderr,
    async waitForOutput(pattern) {
      return await waitFor(() => matchOrThrow(child, pattern, stdout(), stderr()), {
        timeoutMs: 120_000,
        what: String(pattern),
      });
    },
    kill: (signal) => void child.kill(signal),
    exitCode,
  };
}

/** Runs a command to its end, with `input` as its standard input. */
export async function runCli(
  parameters: readonly string[],
  variables?: Readonly<Record<string, string>>,
  input?: string,
) {
  const cliProcess = startCli(parameters, variables, input);
  const exitCode = await cliProcess.exitCode;
  return { exitCode, stdout: cliProcess.stdout(), stderr: cliProcess.stderr() };
}

function collect(stream: ChildProcess["stdout"]): () => string {
  let text = "";
  stream?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

function matchOrThrow(child: ChildProcess, pattern: RegExp, stdout: string, stderr: string): RegExpExecArray | null {
  const match = pattern.exec(stdout);
  if (match === null && child.exitCode !== null) {
    throw new Error(`it ended with ${child.exitCode} before it wrote ${pattern}:\n${stdout}${stderr}`);
  }
  return match;
}
