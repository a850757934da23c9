import { createWakeUp } from "../broker/wake-up.ts";
import type { UseCaseLog } from "./dependencies.ts";

/** Work that is done in steps, for as long as the process runs. */
export interface BackgroundLoop {
  start(): void;
  /** There may be something to do: the next step is made now. */
  wake(): void;
  /** Waits for the step that is under way, and makes no other. */
  stop(): Promise<void>;
}

export interface BackgroundLoopOptions {
  /** For the log: "the relay of operational events". */
  what: string;
  /** True: there may be more, so the next step follows at once. What it throws is logged, and it is made again after the interval. */
  step: () => Promise<boolean>;
  intervalMs: number;
  log: UseCaseLog;
}

export function createBackgroundLoop({ what, step, intervalMs, log }: BackgroundLoopOptions): BackgroundLoop {
  let wakeUp = createWakeUp();
  let running = false;
  let loop: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    while (running) {
      const isMore = await step().catch((error: unknown) => {
        log.backgroundFailure(what, error);
        return false;
      });
      if (!isMore && running) await wakeUp.wait(intervalMs);
    }
  }

  return {
    start() {
      running = true;
      wakeUp = createWakeUp();
      loop = run();
    },
    wake: () => wakeUp.call(),
    async stop() {
      running = false;
      wakeUp.end();
      await loop;
    },
  };
}
