import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { startApp } from "../app.ts";
import { type Config, describeConfig } from "../config.ts";
import { readOrCreatePrivateFile } from "../private-file.ts";
import { loadSecretsKeys } from "../secrets-key-file.ts";
import type { Log } from "../telemetry/log.ts";
import { createMetrics } from "../telemetry/metrics.ts";
import { type DemoResult, runDemo } from "./dev/demo.ts";
import { type DemoReceiver, startDemoReceiver } from "./dev/demo-receiver.ts";
import { tourText } from "./dev/tour-text.ts";
import { runUntilSignal } from "./run-until-signal.ts";

export interface DevOptions {
  log: Log;
  exit: (code: number) => void;
  /** Writes text for people, beside the log. */
  print: (text: string) => void;
}

/**
 * Runs Tellwire for development until a signal stops it: with an operator's key of its own, a demo organization, and a demo webhook whose
 * receiver runs in this process. One event is published and delivered at each start, and the tour is printed.
 */
export async function runDev(config: Config, { log, exit, print }: DevOptions): Promise<void> {
  const startedMs = performance.now();
  log.debug({ config: describeConfig(config) }, "configuration");
  const [operatorKey = await loadOperatorKey(config.dataDir), ...otherKeys] = config.operatorKeys;
  const secretsKeys = await loadSecretsKeys(config);
  const app = await startApp(
    { ...config, operatorKeys: [operatorKey, ...otherKeys], secretsKeys },
    { log, metrics: createMetrics() },
  );
  let receiver: DemoReceiver | undefined;
  const close = async (): Promise<void> => {
    await app.close();
    await receiver?.close();
  };
  const closed = runUntilSignal({ close, graceMs: config.shutdownGraceMs, log, exit });

  const demo = async (): Promise<DemoResult> => {
    receiver = await startDemoReceiver({ port: demoPort, log });
    return await runDemo({ baseUrl: app.httpUrl, dataDir: config.dataDir, operatorKey, receiver, log });
  };
  try {
    // Whoever stops it while the demo is being set up need not wait for that.
    const result = await Promise.race([demo(), closed]);
    if (result !== undefined) {
      const firstDeliveryMs = performance.now() - startedMs;
      print(tourText({ app, result, firstDeliveryMs, dataDir: config.dataDir, receiverUrl: receiver?.url ?? "" }));
    }
  } catch (error) {
    await close();
    throw error;
  }
  await closed;
}

const demoPort = 8090;

async function loadOperatorKey(dataDir: string): Promise<string> {
  const text = await readOrCreatePrivateFile(
    join(dataDir, "operator.key"),
    () => `${randomBytes(32).toString("base64url")}\n`,
  );
  return text.trim();
}
