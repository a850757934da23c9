import { setImmediate as nextTurn } from "node:timers/promises";

/** Keeps a loop over many items from holding up everything else in the process. */
export interface Pacer {
  /** Whether the loop has run for as long as it should without a pause. */
  isDue(): boolean;
  /** Lets what waits have its turn. */
  pause(): Promise<void>;
}

/** For one loop that begins now and may run for so many milliseconds at a time. */
export function createPacer(maxMs: number): Pacer {
  let begunAt = performance.now();
  return {
    isDue: () => performance.now() - begunAt > maxMs,
    async pause() {
      await nextTurn();
      begunAt = performance.now();
    },
  };
}
