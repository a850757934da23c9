import { isAboutContent } from "../store/is-about-content.ts";
import {
  type AttemptRecord,
  type DeliveryRecord,
  type Disabling,
  type OutcomeBatch,
  recordOutcomes,
} from "../store/sql/record-outcomes.ts";
import type { Sql } from "../store/sql.ts";

/** What became of a delivery: after an attempt, or because it is handed to its lane. */
export interface Outcome {
  delivery: DeliveryRecord;
  attempt?: AttemptRecord;
  disabling?: Disabling;
}

/**
 * Writes outcomes in batches, one transaction of set-based statements each. While a batch is being written, the next one gathers: under
 * load the batches grow by themselves, and without load an outcome waits only `lingerMs`.
 */
export interface Recorder {
  /** Resolves when the outcome is committed. While the database is away, it waits: nothing is given up. */
  record(outcome: Outcome): Promise<void>;
  /** Resolves when everything recorded so far is committed, or rejects after the time. */
  flush(timeoutMs: number): Promise<void>;
}

export interface RecorderOptions {
  sql: Sql;
  lingerMs: number;
  maxBatch: number;
  /** After each committed batch. */
  onCommit: (batch: CommittedBatch) => void;
  /** The database failed; the batch is tried again after the delay. */
  onRetry: (error: unknown, delayMs: number) => void;
}

export interface CommittedBatch {
  outcomes: number;
  /** The time of the first attempt that is due because of it, in milliseconds since the epoch. */
  firstDueAt: number | undefined;
  /** The organizations of webhooks that it may have disabled. */
  disabledIn: readonly string[];
}

export function createRecorder(options: RecorderOptions): Recorder {
  let pending: Pending[] = [];
  let writing = false;
  let timer: NodeJS.Timeout | undefined;
  const idle: (() => void)[] = [];

  const write = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    writing = true;
    while (pending.length > 0) {
      const batch = pending.slice(0, options.maxBatch);
      pending = pending.slice(options.maxBatch);
      await commit(options, batch);
    }
    writing = false;
    for (const resolve of idle.splice(0)) {
      resolve();
    }
  };

  return {
    record(outcome) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      pending.push({ outcome, resolve, reject });
      if (!writing) {
        if (pending.length >= options.maxBatch) {
          void write();
        } else {
          timer ??= setTimeout(() => void write(), options.lingerMs);
        }
      }
      return promise;
    },
    async flush(timeoutMs) {
      if (!writing && pending.length === 0) {
        return;
      }
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      idle.push(resolve);
      const deadline = setTimeout(() => reject(new Error(`outcomes were not recorded in ${timeoutMs} ms`)), timeoutMs);
      await promise.finally(() => clearTimeout(deadline));
    },
  };
}

interface Pending {
  outcome: Outcome;
  resolve: () => void;
  reject: (error: unknown) => void;
}

const firstRetryMs = 50;
/** Short, because what was sent and is not recorded is sent again if the process dies. */
const maxRetryMs = 1_000;

/** Never throws. What the database cannot take for its content is found by halving the batch, and refused alone. */
async function commit(options: RecorderOptions, batch: readonly Pending[]): Promise<void> {
  for (let delayMs = firstRetryMs; ; delayMs = Math.min(delayMs * 2, maxRetryMs)) {
    try {
      const outcomes = batchOf(batch.map(({ outcome }) => outcome));
      await recordOutcomes(options.sql, outcomes);
      options.onCommit({
        outcomes: batch.length,
        firstDueAt: firstDueAt(outcomes.deliveries),
        disabledIn: outcomes.disablings.map(({ organizationId }) => organizationId),
      });
      for (const { resolve } of batch) {
        resolve();
      }
      return;
    } catch (error) {
      if (isAboutContent(error)) {
        return await commitHalves(options, batch, error);
      }
      options.onRetry(error, delayMs);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}

async function commitHalves(options: RecorderOptions, batch: readonly Pending[], error: unknown): Promise<void> {
  const [only] = batch;
  if (batch.length === 1 && only !== undefined) {
    only.reject(error);
    return;
  }
  const middle = Math.ceil(batch.length / 2);
  await commit(options, batch.slice(0, middle));
  await commit(options, batch.slice(middle));
}

/** Of a delivery that is in the batch twice, such as handed over and then finished, the later word counts. */
function batchOf(outcomes: readonly Outcome[]): OutcomeBatch {
  const deliveries = new Map<string, DeliveryRecord>();
  for (const { delivery } of outcomes) {
    deliveries.set(delivery.id, delivery);
  }
  return {
    deliveries: [...deliveries.values()],
    attempts: outcomes.flatMap(({ attempt }) => attempt ?? []),
    disablings: outcomes.flatMap(({ disabling }) => disabling ?? []),
  };
}

function firstDueAt(deliveries: readonly DeliveryRecord[]): number | undefined {
  const times = deliveries.flatMap(({ nextAttemptAt }) => nextAttemptAt ?? []);
  return times.length === 0 ? undefined : times.reduce((first, time) => Math.min(first, time));
}
