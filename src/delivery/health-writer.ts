import { type HealthChange, writeHealth } from "../store/sql/write-health.ts";
import type { Sql } from "../store/sql.ts";

/**
 * Gathers how attempts went, and writes it now and then, one row for each webhook that was called, however many times it was. What holds a failure, or the
 * end of failures, is written with the next interval; so are successes, of up to a thousand webhooks. Where there are more, those that have
 * waited for longest go first, and each is written within some sixty intervals. After a crash what was not written is missing; the deliveries
 * themselves are not concerned.
 */
export interface HealthWriter {
  add(attempt: { webhookId: string; at: number; error: string | null; exhausted: boolean }): void;
  /** Writes what has gathered, and stops. */
  stop(): Promise<void>;
}

export interface HealthWriterOptions {
  sql: Sql;
  intervalMs: number;
  onFailure: (error: unknown) => void;
}

export function createHealthWriter({ sql, intervalMs, onFailure }: HealthWriterOptions): HealthWriter {
  /** What goes with the next writing. */
  let changes = new Map<string, HealthChange>();
  /** Of webhooks that have done nothing but succeed, those that wait for longest first. */
  const successes = new Map<string, Successes>();
  /** Webhooks whose last attempt failed, as far as that was written. */
  const failing = new Set<string>();
  let writing: Promise<void> = Promise.resolve();

  const changeOf = (webhookId: string): HealthChange => {
    let change = changes.get(webhookId);
    if (change === undefined) {
      change = changeFrom(webhookId, successes.get(webhookId));
      successes.delete(webhookId);
      changes.set(webhookId, change);
    }
    return change;
  };

  const write = async (maxSuccesses: number): Promise<void> => {
    const gathered = [...changes.values(), ...takeOldest(successes, maxSuccesses)];
    changes = new Map();
    // Where very many fail, the ends of failures may wait as successes do.
    if (failing.size > maxFailing) failing.clear();
    for (const { webhookId, failures } of gathered) if (failures > 0) failing.add(webhookId);
    for (let from = 0; from < gathered.length; from += maxRows) {
      await writeHealth(sql, gathered.slice(from, from + maxRows)).catch(onFailure);
    }
  };
  const timer = setInterval(() => {
    writing = writing.then(() => write(Math.max(leastSuccesses, Math.ceil(successes.size / maxIntervals))));
  }, intervalMs);
  timer.unref();

  return {
    add({ webhookId, at, error, exhausted }) {
      if (error !== null) {
        addFailure(changeOf(webhookId), { at, error, exhausted });
        return;
      }
      const known = successes.get(webhookId);
      if (known !== undefined) {
        known.attempts += 1;
        known.lastAt = at;
      } else if (changes.has(webhookId) || failing.delete(webhookId)) {
        addSuccess(changeOf(webhookId), at);
      } else {
        successes.set(webhookId, { attempts: 1, lastAt: at });
      }
    },
    async stop() {
      clearInterval(timer);
      await writing;
      await write(Number.POSITIVE_INFINITY);
    },
  };
}

/** What a webhook's health begins with, before anything is known of it. */
export function noChange(webhookId: string): HealthChange {
  return {
    webhookId,
    lastSuccessAt: null,
    lastFailureAt: null,
    failuresBefore: 0,
    failures: 0,
    failingSince: null,
    lastError: "",
    attempts: 0,
    failedAttempts: 0,
    exhausted: 0,
  };
}

/** Less than a change: there may be as many as webhooks. */
interface Successes {
  attempts: number;
  lastAt: number;
}

function changeFrom(webhookId: string, successes: Successes | undefined): HealthChange {
  const change = noChange(webhookId);
  return successes === undefined
    ? change
    : { ...change, attempts: successes.attempts, lastSuccessAt: successes.lastAt };
}

/** Takes the first ones out. */
function takeOldest(successes: Map<string, Successes>, max: number): HealthChange[] {
  const taken: HealthChange[] = [];
  for (const [webhookId, some] of successes) {
    if (taken.length >= max) break;
    taken.push(changeFrom(webhookId, some));
    successes.delete(webhookId);
  }
  return taken;
}

function addSuccess(change: HealthChange, at: number): void {
  if (change.lastSuccessAt === null) change.failuresBefore = change.failures;
  change.attempts += 1;
  change.lastSuccessAt = at;
  change.failures = 0;
  change.failingSince = null;
  change.exhausted = 0;
}

function addFailure(
  change: HealthChange,
  { at, error, exhausted }: { at: number; error: string; exhausted: boolean },
): void {
  change.attempts += 1;
  change.failedAttempts += 1;
  change.exhausted += exhausted ? 1 : 0;
  change.lastFailureAt = at;
  change.failures += 1;
  change.failingSince ??= at;
  change.lastError = error;
}

/** A row costs Postgres some 7 µs: with very many webhooks, each delivery would be the only one that its row is written for. */
const leastSuccesses = 1_000;
const maxIntervals = 60;
const maxFailing = 10_000;
/** For one statement. */
const maxRows = 5_000;
