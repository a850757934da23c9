import type { Log } from "../../telemetry/log.ts";

/** What the ways of serving get from the command line. */
export interface ServeOptions {
  log: Log;
  /** Ends the process at once; what is still to be logged is written first. */
  exit: (code: number) => void;
}
