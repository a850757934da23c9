import { type HealthChange, writeHealth } from "../store/sql/write-health.ts";
import type { Sql } from "../store/sql.ts";

/**
 * Gathers how attempts went, and writes it now and then: one row for each webhook that was called, however many times it was. After a
 * crash the last interval is missing; the deliveries themselves are not concerned.
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
  let changes = new Map<string, HealthChange>();
  let writing: Promise<void> = Promise.resolve();

  const write = async (): Promise<void> => {
    if (changes.size === 0) {
      return;
    }
    const gathered = changes;
    changes = new Map();
    try {
      await writeHealth(sql, [...gathered.values()]);
    } catch (error) {
      onFailure(error);
    }
  };
  const timer = setInterval(() => {
    writing = writing.then(write);
  }, intervalMs);
  timer.unref();

  return {
    add({ webhookId, at, error, exhausted }) {
      const change = changes.get(webhookId) ?? noChange(webhookId);
      change.attempts += 1;
      if (error === null) {
        if (change.lastSuccessAt === null) change.failuresBefore = change.failures;
        change.lastSuccessAt = at;
        change.failures = 0;
        change.failingSince = null;
        change.exhausted = 0;
      } else {
        change.failedAttempts += 1;
        change.exhausted += exhausted ? 1 : 0;
        change.lastFailureAt = at;
        change.failures += 1;
        change.failingSince ??= at;
        change.lastError = error;
      }
      changes.set(webhookId, change);
    },
    async stop() {
      clearInterval(timer);
      await writing;
      await write();
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
