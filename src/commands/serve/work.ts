import { startApp } from "../../app.ts";
import type { Config } from "../../config.ts";
import { createMetrics } from "../../telemetry/metrics.ts";
import { failureText } from "../failure-text.ts";
import type { Figures } from "./process-messages.ts";
import type { ServeOptions } from "./serve-options.ts";
import { createSharedScrape } from "./shared-scrape.ts";
import { openSupervisorChannel, type SupervisorChannel } from "./supervisor-channel.ts";

/**
 * Runs the whole app as one of several processes, until the supervisor stops it, is gone, or a signal comes. A start that fails is told to the
 * supervisor, who says it to people once.
 */
export async function work(config: Config, { log, exit }: ServeOptions): Promise<void> {
  const own = createMetrics();
  const channel = await openSupervisorChannel(
    async () => (await own.registry.getMetricsAsJSON()) as unknown as Figures,
  );
  const processLog = log.child({ process: channel.number });
  const metrics = { ...own, registry: createSharedScrape({ own: own.registry, ...channel }) };
  const autoMigrate = config.autoMigrate && channel.migrates;
  const app = await startApp({ ...config, autoMigrate }, { log: processLog, metrics }).catch((error) =>
    tellFailure(channel, error),
  );
  if (app === undefined) return exit(1);
  const stopWanted = channel.stopWanted();
  await channel.tell({ kind: "up", http: app.httpUrl, grpc: app.grpcUrl });

  if ((await stopWanted) === "supervisorGone") {
    processLog.warn("the supervisor is gone: finishing what is in flight");
  }
  const limitMs = config.shutdownGraceMs + extraMs;
  setTimeout(() => {
    processLog.error(`not closed after ${limitMs / 1000} s: stopping at once`);
    exit(1);
  }, limitMs);
  await app.close();
  exit(0);
}

/** For connections and files to close after the grace; less than the supervisor waits. */
const extraMs = 4_000;

async function tellFailure(channel: SupervisorChannel, error: unknown): Promise<undefined> {
  await channel.tell({ kind: "failed", text: failureText(error) });
}
