import { setTimeout as delay } from "node:timers/promises";
import { addPublishedEvents } from "../store/sql/published-events.ts";
import type { Sql } from "../store/sql.ts";

/** How many events organizations published today (UTC), in all processes as far as this one knows: a second ago, and its own since. */
export interface DailyCounts {
  today(organizationId: string): number;
  /** Below 0: takes back. */
  add(organizationId: string, events: number): void;
  /** What is known is worth a look at the table, although nothing was added. */
  doubt(organizationId: string): void;
  start(): void;
  /** Writes what is not written yet. */
  stop(): Promise<void>;
}

export interface DailyCountsOptions {
  sql: Sql;
  now: () => number;
  /** Whether a limit hangs on the organization's count: others are written every ten seconds only. */
  isLimited: (organizationId: string) => boolean;
  /** Writing failed; it is tried again after a second. */
  onFailure: (error: unknown) => void;
}

export function createDailyCounts({ sql, now, isLimited, onFailure }: DailyCountsOptions): DailyCounts {
  const counts = new Map<string, DailyCount>();
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();

  function countOf(organizationId: string): DailyCount {
    const time = now();
    const key = keyOf(organizationId, time);
    let count = counts.get(key);
    if (count === undefined) {
      count = { key, organizationId, day: dayOf(time), written: 0, unwritten: 0, isDoubted: true, writtenAt: 0 };
      counts.set(key, count);
    }
    return count;
  }

  function takeDue(isLast: boolean): DailyCount[] {
    const due: DailyCount[] = [];
    for (const count of counts.values()) {
      const ageMs = now() - count.writtenAt;
      if (count.unwritten === 0 && !count.isDoubted) {
        // The table knows it.
        if (ageMs > forgetAfterMs) counts.delete(count.key);
      } else if (isLast || ageMs >= unlimitedIntervalMs || isLimited(count.organizationId)) {
        due.push(count);
      }
    }
    return due;
  }

  async function write(isLast: boolean): Promise<void> {
    const due = takeDue(isLast);
    for (let from = 0; from < due.length; from += maxRows) await writeSome(due.slice(from, from + maxRows));
  }

  async function writeSome(some: readonly DailyCount[]): Promise<void> {
    const rows = some.map(({ organizationId, day, unwritten: events }) => ({ organizationId, day, events }));
    for (const count of some) {
      // On its way it counts as written.
      count.written += count.unwritten;
      Object.assign(count, { unwritten: 0, isDoubted: false, writtenAt: now() });
    }
    try {
      for (const { organizationId, day, events } of await addPublishedEvents(sql, rows)) {
        const count = counts.get(keyOf(organizationId, Date.parse(day)));
        if (count !== undefined) count.written = events;
      }
    } catch (error) {
      for (const [index, count] of some.entries()) {
        const events = rows[index]?.events ?? 0;
        count.written -= events;
        count.unwritten += events;
        count.isDoubted = true;
      }
      onFailure(error);
    }
  }

  async function run(): Promise<void> {
    const { signal } = stopping;
    while (!signal.aborted) {
      await write(false);
      await delay(intervalMs, undefined, { signal, ref: false }).catch(() => {});
    }
    await write(true);
  }

  return {
    today(organizationId) {
      const { written, unwritten } = countOf(organizationId);
      return written + unwritten;
    },
    add(organizationId, events) {
      const count = countOf(organizationId);
      count.unwritten += events;
      // Also where it comes to nothing, so that what others counted is heard of while somebody tries.
      count.isDoubted = true;
    },
    doubt(organizationId) {
      countOf(organizationId).isDoubted = true;
    },
    start() {
      running = run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

/** The day of UTC, written as `2026-05-01`. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** How long it is until the next day of UTC begins, in milliseconds. */
export function untilNextDayMs(time: number): number {
  return dayMs - (time % dayMs);
}

function keyOf(organizationId: string, time: number): string {
  return `${organizationId} ${Math.floor(time / dayMs)}`;
}

const dayMs = 24 * 60 * 60_000;
const intervalMs = 1_000;
const unlimitedIntervalMs = 10_000;
const forgetAfterMs = 10 * 60_000;
const maxRows = 5_000;

interface DailyCount {
  key: string;
  organizationId: string;
  day: string;
  /** In the table, by all processes. */
  written: number;
  unwritten: number;
  isDoubted: boolean;
  writtenAt: number;
}
