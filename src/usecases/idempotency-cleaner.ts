import { removeExpiredKeys } from "../store/sql/idempotency-keys.ts";
import type { Dependencies } from "./dependencies.ts";

/** Removes idempotency keys that have expired, with the answers that were kept under them. */
export interface IdempotencyCleaner {
  start(): void;
  /** Removes what has expired by now, in batches. */
  clean(): Promise<void>;
  /** Waits for the batch that is under way. */
  stop(): Promise<void>;
}

export function createIdempotencyCleaner({
  database: { sql },
  ids,
  log,
}: Pick<Dependencies, "database" | "ids" | "log">): IdempotencyCleaner {
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let cleaning: Promise<void> = Promise.resolve();

  async function clean(): Promise<void> {
    let removed: number;
    do {
      removed = await removeExpiredKeys(sql, { now: ids.now(), limit: batchSize });
    } while (removed === batchSize && !stopping);
  }

  function run(): void {
    cleaning = clean().catch((error: unknown) => log.backgroundFailure("removing expired idempotency keys", error));
    void cleaning.then(() => {
      if (!stopping) timer = setTimeout(run, intervalMs);
    });
  }

  return {
    start: run,
    clean,
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await cleaning;
    },
  };
}

/** Small enough that a batch never holds many rows for long. */
const batchSize = 1_000;
const intervalMs = 60_000;
