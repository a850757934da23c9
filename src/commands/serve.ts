import cluster from "node:cluster";
import { startApp } from "../app.ts";
import { type Config, describeConfig } from "../config.ts";
import { loadSecretsKeys } from "../secrets-key-file.ts";
import type { Log } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { runUntilSignal } from "./run-until-signal.ts";
import { supervise } from "./serve/supervise.ts";
import { work } from "./serve/work.ts";

/** Runs Tellwire until a signal stops it: as this one process, or as several that this one starts and watches. */
export async function serve(config: Config, { log, exit }: { log: Log; exit: (code: number) => void }): Promise<void> {
  if (cluster.isWorker) return await work(config, { log, exit });
  log.info({ config: describeConfig(config) }, "configuration");
  if (config.operatorKey === undefined) {
    log.warn("operator calls are refused: TELLWIRE_OPERATOR_KEY is not set");
  }
  const { databaseUrl } = config;
  if (config.processes > 1 && databaseUrl !== undefined) return await supervise(config, { log, exit, databaseUrl });
  const secretsKeys = await loadSecretsKeys(config);
  const app = await startApp({ ...config, secretsKeys }, { log, metrics: createMetrics() });
  // Before the line that tells others that it may be stopped.
  const stopped = runUntilSignal({ close: () => app.close(), graceMs: config.shutdownGraceMs, log, exit });
  log.info({ http: app.httpUrl, grpc: app.grpcUrl }, "tellwire is up");
  await stopped;
  log.info("tellwire is closed");
}
