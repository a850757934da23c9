import cluster from "node:cluster";
import { type Config, describeConfig } from "../config.ts";
import type { Log } from "../telemetry/log.ts";
import { giveBackWhenQuiet } from "./serve/give-back-when-quiet.ts";
import type { ServeOptions } from "./serve/serve-options.ts";
import { tuneHeap } from "./serve/tune-heap.ts";

/**
 * Runs Tellwire until a signal stops it: as this one process, or as several that this one starts and watches. Each way is loaded only where it
 * is taken: a supervisor needs nothing of the app, whose code alone takes tens of megabytes.
 */
export async function serve(config: Config, options: ServeOptions): Promise<void> {
  tuneHeap();
  giveBackWhenQuiet();
  if (cluster.isWorker) {
    const { work } = await import("./serve/work.ts");
    return await work(config, options);
  }
  logStart(config, options.log);
  if (config.processes > 1) {
    const { supervise } = await import("./serve/supervise.ts");
    return await supervise(config, options);
  }
  const { serveAlone } = await import("./serve/serve-alone.ts");
  await serveAlone(config, options);
}

function logStart(config: Config, log: Log): void {
  log.info({ config: describeConfig(config) }, "configuration");
  if (config.operatorKeys.length === 0) {
    log.warn("operator calls are refused: TELLWIRE_OPERATOR_KEY is not set");
  }
}
