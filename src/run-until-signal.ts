import type { Log } from "./telemetry/log.ts";

export interface RunUntilSignalOptions {
  /** Stops taking work, finishes or hands over what is in flight. */
  close: () => Promise<void>;
  /** How long `close` may take; the process ends some seconds later in any case. */
  graceMs: number;
  log: Log;
  /** Ends the process at once; what is still to be logged is written first. */
  exit: (code: number) => void;
}

/** Waits for SIGINT or SIGTERM, then closes. A second signal ends the process at once. Resolves when everything is closed. */
export function runUntilSignal({ close, graceMs, log, exit }: RunUntilSignalOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    let closing = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (closing) {
        log.warn(`${signal} again: stopping at once`);
        exit(exitCodes[signal] ?? 1);
        return;
      }
      closing = true;
      log.info(`${signal}: finishing what is in flight; a second signal stops at once`);
      setTimeout(() => {
        log.error(`not closed ${(graceMs + extraMs) / 1000} s after ${signal}: stopping at once`);
        exit(1);
      }, graceMs + extraMs).unref();
      close().then(resolve, reject);
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
  });
}

/** For connections and files to close after the grace. */
const extraMs = 5_000;

/** As a shell reports a process that a signal ended. */
const exitCodes: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };
