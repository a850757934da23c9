export interface WakeUp {
  /** Ends the wait of now; without one, the next. */
  call(): void;
  /** Ends every wait, now and from here on. */
  end(): void;
  /** Waits for a call, at most so many milliseconds. */
  wait(timeoutMs: number, options?: { ignoreCalls: boolean }): Promise<void>;
}

/** Lets one loop sleep until there is something to do. A call that comes just before the wait is not lost. */
export function createWakeUp(): WakeUp {
  let called = false;
  let ended = false;
  let wake: ((why: "called" | "ended") => void) | undefined;
  return {
    call() {
      called = true;
      wake?.("called");
    },
    end() {
      ended = true;
      wake?.("ended");
    },
    async wait(timeoutMs, { ignoreCalls } = { ignoreCalls: false }) {
      if (!ended && (ignoreCalls || !called)) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = (why) => {
            if (why === "ended" || !ignoreCalls) {
              clearTimeout(timer);
              resolve();
            }
          };
        });
      }
      wake = undefined;
      called &&= ignoreCalls;
    },
  };
}
