import { startApp } from "../app.ts";
import { type Config, describeConfig } from "../config.ts";
import { loadSecretsKeys } from "../secrets-key-file.ts";
import type { Log } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { runUntilSignal } from "./run-until-signal.ts";

/** Runs Tellwire until a signal stops it. */
export async function serve(config: Config, { log, exit }: { log: Log; exit: (code: number) => void }): Promise<void> {
  log.info({ config: describeConfig(config) }, "configuration");
  if (config.operatorKey === undefined) {
    log.warn("operator calls are refused: TELLWIRE_OPERATOR_KEY is not set");
  }
  const secretsKeys = await loadSecretsKeys(config);
  const app = await startApp({ ...config, secretsKeys }, { log, metrics: createMetrics() });
  log.info({ http: app.httpUrl, grpc: app.grpcUrl }, "tellwire is up");
  await runUntilSignal({ close: () => app.close(), graceMs: config.shutdownGraceMs, log, exit });
  log.info("tellwire is closed");
}
