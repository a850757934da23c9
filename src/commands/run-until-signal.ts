import type { Log } from "../telemetry/log.ts";

export interface RunUntilSignalOptions {
  /** Stops taking work, finishes or hands over what is in flight. */
  close: () => Promise<void>;
  /** How long `close` may take; the process ends some seconds later in any case. */
  graceMs: number;
  log: Log;
  /** Ends the process at once; what is still to be logged is written first. */
  exit: (code: number) => void;
  /** A clock that only goes forward, in milliseconds. */
  now?: () => number;
}

/** Waits for SIGINT or SIGTERM, then closes. A second signal ends the process at once. Resolves when everything is closed. */
export function runUntilSignal(options: RunUntilSignalOptions): Promise<void> {
  const { close, graceMs, log, exit, now = () => performance.now() } = options;
  return new Promise((resolve, reject) => {
    let closingSince: number | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (closingSince !== undefined) {
        if (now() - closingSince < sameSignalMs) return;
        log.warn(`${signal} again: stopping at once`);
        exit(exitCodes[signal] ?? 1);
        return;
      }
      closingSince = now();
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

/** One Ctrl-C arrives twice under npm: from the terminal, and passed on by npm. */
const sameSignalMs = 500;

/** For connections and files to close after the grace. */
const extraMs = 5_000;

/** As a shell reports a process that a signal ended. */
const exitCodes: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143 };
