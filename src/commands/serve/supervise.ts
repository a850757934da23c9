import type { Config } from "../../config.ts";
import { openPostgres } from "../../store/database.ts";
import type { Log } from "../../telemetry/log.ts";
import { runUntilSignal } from "../run-until-signal.ts";
import { createWorkerGroup } from "./worker-group.ts";

export interface SuperviseOptions {
  log: Log;
  /** Ends the process at once; what is still to be logged is written first. */
  exit: (code: number) => void;
  /** The database that the processes share, which an embedded one cannot be: `postgres://…`. */
  databaseUrl: string;
}

/**
 * Runs Tellwire as several processes that share the ports, and replaces those that end, until a signal stops them all. To whoever watches it
 * from outside it starts, fails and stops as one process does.
 */
export async function supervise(config: Config, { log, exit, databaseUrl }: SuperviseOptions): Promise<void> {
  if (config.autoMigrate) await migrateOnce(databaseUrl, log);
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

async function migrateOnce(databaseUrl: string, log: Log): Promise<void> {
  const database = await openPostgres(databaseUrl, { maxConnections: 2 });
  try {
    for (const name of await database.migrate()) log.info(`migrated the database: ${name}`);
  } finally {
    await database.close();
  }
}
