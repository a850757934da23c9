import type { Config } from "../../config.ts";
import { runUntilSignal } from "../run-until-signal.ts";
import type { ServeOptions } from "./serve-options.ts";
import { createWorkerGroup } from "./worker-group.ts";

/**
 * Runs Tellwire as several processes that share the ports, and replaces those that end, until a signal stops them all. To whoever watches it
 * from outside it starts, fails and stops as one process does.
 */
export async function supervise(config: Config, { log, exit }: ServeOptions): Promise<void> {
  const workers = createWorkerGroup({ count: config.processes, log });
  const addresses = await workers.start().catch(async (error) => {
    // What failed first is what has to be mended, not what came of stopping.
    await workers.stop().catch((stopError) => log.error({ err: stopError }, "a process did not stop in good order"));
    throw error;
  });
  const stopped = runUntilSignal({
    close: workers.stop,
    graceMs: config.shutdownGraceMs,
    log,
    exit: (code) => {
      workers.kill();
      exit(code);
    },
  });
  log.info({ ...addresses, processes: workers.pids() }, "tellwire is up");
  await stopped;
  log.info("tellwire is closed");
}
