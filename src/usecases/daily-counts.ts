import { setTimeout as delay } from "node:timers/promises";
import { addPublishedEvents } from "../store/sql/published-events.ts";
import type { Sql } from "../store/sql.ts";

/**
 * How many events organizations published on a day (UTC), in all processes as far as this one knows: a second ago, and its own since. Times are
 * milliseconds since the epoch, and stand for their day.
 */
export interface DailyCounts {
  /**
   * Reads what these organizations published today, where that is not in memory: otherwise who publishes for the first time here, or for the first
   * time in a while, would begin at nothing. Where the database is away, the count goes on from what is known.
   */
  prepare(organizationIds: Iterable<string>): Promise<void>;
  on(organizationId: string, time: number): number;
  /** Below 0: takes back. */
  add(organizationId: string, events: number, time: number): void;
  /** What is known is worth a look at the table, although nothing was added. */
  doubt(organizationId: string, time: number): void;
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
  /** By the day, as days since the epoch, and the organization. */
  const counts = new Map<number, Map<string, DailyCount>>();
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  /** One statement at a time, so that no answer is older than what is known. */
  let writing: Promise<void> = Promise.resolve();
  /** What somebody waits for, until its statement is made: one for all of them. */
  let asked: Asked | undefined;

  function countOf(organizationId: string, time: number): DailyCount {
    const day = Math.floor(time / dayMs);
    let ofDay = counts.get(day);
    if (ofDay === undefined) {
      ofDay = new Map();
      counts.set(day, ofDay);
    }
    let count = ofDay.get(organizationId);
    if (count === undefined) {
      count = { organizationId, day: dayOf(time), ...nothingKnown };
      ofDay.set(organizationId, count);
    }
    return count;
  }

  function takeDue(isLast: boolean): DailyCount[] {
    const due: DailyCount[] = [];
    for (const [day, ofDay] of counts) {
      for (const count of ofDay.values()) {
        if (isDue(count, isLast)) due.push(count);
        else if (isWritten(count) && ageMs(count) > forgetAfterMs) ofDay.delete(count.organizationId);
      }
      if (ofDay.size === 0) counts.delete(day);
    }
    return due;
  }

  function isDue(count: DailyCount, isLast: boolean): boolean {
    if (isWritten(count)) return false;
    return isLast || ageMs(count) >= unlimitedIntervalMs || isLimited(count.organizationId);
  }

  function ageMs({ writtenAt }: DailyCount): number {
    return now() - writtenAt;
  }

  async function write(isLast: boolean): Promise<void> {
    const due = takeDue(isLast);
    for (let from = 0; from < due.length; from += maxRows) await writeNext(() => due.slice(from, from + maxRows));
  }

  function writeNext(take: () => readonly DailyCount[]): Promise<void> {
    writing = writing.then(() => writeSome(take()));
    return writing;
  }

  function read(count: DailyCount): Promise<void> {
    if (asked === undefined) {
      const begun = new Set<DailyCount>();
      const answered = writeNext(() => {
        asked = undefined;
        return [...begun].filter(({ isAsked }) => !isAsked);
      });
      asked = { counts: begun, answered };
    }
    asked.counts.add(count);
    return asked.answered;
  }

  async function writeSome(some: readonly DailyCount[]): Promise<void> {
    if (some.length === 0) return;
    const rows = some.map(({ organizationId, day, unwritten: events }) => ({ organizationId, day, events }));
    for (const count of some) {
      // On its way it counts as written.
      count.written += count.unwritten;
      Object.assign(count, { unwritten: 0, isDoubted: false, writtenAt: now() });
    }
    try {
      for (const { organizationId, day, events } of await addPublishedEvents(sql, rows)) {
        const count = counts.get(Date.parse(day) / dayMs)?.get(organizationId);
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
    for (const count of some) count.isAsked = true;
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
    async prepare(organizationIds) {
      const time = now();
      const unread = [...organizationIds].map((id) => countOf(id, time)).filter(({ isAsked }) => !isAsked);
      await Promise.all(unread.map(read));
    },
    on(organizationId, time) {
      const { written, unwritten } = countOf(organizationId, time);
      return written + unwritten;
    },
    add(organizationId, events, time) {
      const count = countOf(organizationId, time);
      count.unwritten += events;
      // Also where it comes to nothing, so that what others counted is heard of while somebody tries.
      count.isDoubted = true;
    },
    doubt(organizationId, time) {
      countOf(organizationId, time).isDoubted = true;
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

/** The table knows it. */
function isWritten({ unwritten, isDoubted }: DailyCount): boolean {
  return unwritten === 0 && !isDoubted;
}

/** The day of UTC, written as `2026-05-01`. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** How long it is until the next day of UTC begins, in milliseconds. */
export function untilNextDayMs(time: number): number {
  return dayMs - (time % dayMs);
}

const dayMs = 24 * 60 * 60_000;
const intervalMs = 1_000;
const unlimitedIntervalMs = 10_000;
const forgetAfterMs = 10 * 60_000;
const maxRows = 5_000;

interface DailyCount {
  organizationId: string;
  day: string;
  /** In the table, by all processes. */
  written: number;
  unwritten: number;
  isDoubted: boolean;
  /** Whether the table was asked, and has answered or failed: where it failed it is asked again after a second, and nobody waits for that. */
  isAsked: boolean;
  writtenAt: number;
}

interface Asked {
  counts: Set<DailyCount>;
  answered: Promise<void>;
}

const nothingKnown = { written: 0, unwritten: 0, isDoubted: true, isAsked: false, writtenAt: 0 };
