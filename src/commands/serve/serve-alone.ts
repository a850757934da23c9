import { startApp } from "../../app.ts";
import type { Config } from "../../config.ts";
import { loadSecretsKeys } from "../../secrets-key-file.ts";
import { createMetrics } from "../../telemetry/metrics.ts";
import { runUntilSignal } from "../run-until-signal.ts";
import type { ServeOptions } from "./serve-options.ts";

/** Runs Tellwire in this process until a signal stops it. */
export async function serveAlone(config: Config, { log, exit }: ServeOptions): Promise<void> {
  const secretsKeys = await loadSecretsKeys(config);
  const app = await startApp({ ...config, secretsKeys }, { log, metrics: createMetrics() });
  // Before the line that tells others that it may be stopped.
  const stopped = runUntilSignal({ close: () => app.close(), graceMs: config.shutdownGraceMs, log, exit });
  log.info({ http: app.httpUrl, grpc: app.grpcUrl }, "tellwire is up");
  await stopped;
  log.info("tellwire is closed");
}
