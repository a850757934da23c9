import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** What a process of the harness can be asked for: functions of one argument that goes there, and of an answer that comes back, as JSON. */
export type Calls<Handled> = { [Name in keyof Handled]: (parameters: never) => unknown };

/** A process of the harness. */
export interface HarnessProcess<Handled extends Calls<Handled>> {
  pid: number;
  /** Rejects with what the process throws, and when it ends before it has answered. */
  call<Name extends keyof Handled & string>(
    name: Name,
    parameters: Parameters<Handled[Name]>[0],
  ): Promise<Awaited<ReturnType<Handled[Name]>>>;
  stop(): Promise<void>;
}

interface Question {
  id: number;
  name: string;
  parameters: unknown;
}

interface Answer {
  id: number;
  answer?: unknown;
  error?: string;
}

/**
 * Starts a file of `bench/processes/` as a process of its own. It ends with this one, however that comes about. It gets a session of its own, as the servers
 * have: where the kernel shares the processors out between sessions first (sched(7), autogroup), the harness would share what each server has for itself.
 */
export function startHarnessProcess<Handled extends Calls<Handled>>(file: string): HarnessProcess<Handled> {
  const path = fileURLToPath(new URL(`../processes/${file}`, import.meta.url));
  const child = fork(path, { execArgv: [], detached: true });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let asked = 0;
  child.on("message", ({ id, answer, error }: Answer) => {
    const question = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) question?.resolve(answer);
    else question?.reject(new Error(`${file}: ${error}`));
  });
  child.once("exit", (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file} ended (${code ?? signal})`));
    waiting.clear();
  });
  return {
    pid: child.pid ?? 0,
    call(name, parameters) {
      const id = asked++;
      const question = Promise.withResolvers<unknown>();
      waiting.set(id, question);
      child.send({ id, name, parameters } satisfies Question, (error) => {
        if (error !== null) question.reject(error);
      });
      return question.promise as never;
    },
    stop: () => stop(child),
  };
}

/** For the process itself: answers what is asked, and ends when the process that started it is gone. */
export function answerCalls<Handled extends Calls<Handled>>(handled: Handled): void {
  process.on("message", async ({ id, name, parameters }: Question) => {
    try {
      const answer = await handled[name as keyof Handled](parameters as never);
      process.send?.({ id, answer } satisfies Answer);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.send?.({ id, error: text } satisfies Answer);
    }
  });
  process.once("disconnect", () => process.exit());
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  if (child.connected) child.disconnect();
  await exited;
}
