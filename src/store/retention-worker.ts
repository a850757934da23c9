import type { Database } from "./database.ts";
import { type DroppedPartitions, dropExpired, type Retention } from "./drop-expired.ts";
import { ensurePartitions, partitionsAtHand } from "./partitions.ts";
import { removePublishedEvents } from "./sql/published-events.ts";
import { removeOldAuditEntries } from "./sql/remove-old-audit-entries.ts";
import { removeOldRecoveries } from "./sql/remove-old-recoveries.ts";
import type { Sql } from "./sql.ts";

/** Makes the partitions of the days to come, and drops those that are past their retention, and with them
 * the recovery jobs that ended as long ago, old counts of published events, and the audit entries that are past theirs: at the start, and then
 * every hour. */
export interface RetentionWorker {
  start(): void;
  /**
   * Does it once, now. Where another process is dropping at this moment, only the days to come are made. Throws where the database does not
   * answer.
   */
  run(): Promise<void>;
  /** Waits for what is under way: some seconds at most. */
  stop(): Promise<void>;
}

export interface RetentionWorkerOptions extends Retention {
  database: Pick<Database, "sql" | "exclusively">;
  /** How long entries of the audit log are kept. */
  auditRetentionMs: number;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** How long after the end of one run the next one starts. Undefined: an hour. */
  intervalMs?: number;
  /** Called where there was something to drop. */
  onDropped: (partitions: DroppedPartitions) => void;
  /** A run failed; the next one comes after the interval. */
  onFailure: (error: unknown) => void;
}

export function createRetentionWorker(options: RetentionWorkerOptions): RetentionWorker {
  const { database, now, intervalMs = hourMs, onDropped, onFailure, auditRetentionMs, ...retention } = options;
  let stopping = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();

  async function run(): Promise<void> {
    await ensurePartitions(database.sql, { now: now(), ...partitionsAtHand });
    const partitions = await database.exclusively(retentionLock, async (session) => {
      await removeOldRecoveries(session, now() - retention.recordRetentionMs);
      await removeAuditEntries(session);
      await removePublishedEvents(session, new Date(now() - publishedEventsKeptMs).toISOString().slice(0, 10));
      return await dropExpired(session, { now: now(), isStopping: () => stopping, ...retention });
    });
    if (partitions && partitions.dropped.length + partitions.postponed.length > 0) onDropped(partitions);
  }

  /** In batches, so that no statement takes long, and a stop waits for one of them at most. */
  async function removeAuditEntries(session: Sql): Promise<void> {
    const before = now() - auditRetentionMs;
    let removed: number;
    do {
      removed = await removeOldAuditEntries(session, { before, limit: auditBatch });
    } while (removed === auditBatch && !stopping);
  }

  function start(): void {
    running = run().catch(onFailure);
    void running.then(() => {
      if (!stopping) timer = setTimeout(start, intervalMs);
    });
  }

  return {
    start,
    run,
    async stop() {
      stopping = true;
      clearTimeout(timer);
      await running;
    },
  };
}

const hourMs = 60 * 60_000;
const auditBatch = 1_000;
/** How long it is known how many events were published on a day: longer than anybody is told of it. */
const publishedEventsKeptMs = 40 * 24 * hourMs;
/** The key of the advisory lock: the letters "twrt" are its only meaning. */
const retentionLock = 0x74_77_72_74;
