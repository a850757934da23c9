import { isAboutContent } from "../store/is-about-content.ts";
import type { Disabling } from "../store/sql/disable-webhook.ts";
import { type OutcomeBatch, recordOutcomes } from "../store/sql/record-outcomes.ts";
import type { AttemptRecord } from "../store/sql/write-attempts.ts";
import type { DeliveryRecord } from "../store/sql/write-deliveries.ts";
import type { Sql } from "../store/sql.ts";
import { EventInDoubt } from "./event-in-doubt.ts";

/** What became of a delivery: after an attempt, or because it is handed to its lane. */
export interface Outcome {
  delivery: DeliveryRecord;
  attempt?: AttemptRecord;
  disabling?: Disabling;
  /** Nothing is sent the later for it: the delivery waits for something else than this record. */
  canWait?: boolean;
}

/**
 * Writes outcomes in batches, with set-based statements (`recordOutcomes`). While a batch is being written, the next one gathers, and batches begin at
 * least `paceMs` apart as long as few outcomes wait, and `patientPaceMs` where all of them can: what a batch costs is then shared by more. Without load
 * an outcome waits only `lingerMs`, and so does that of an ordered delivery, whose successor waits for it. While the database commits one batch, another may be sent; what concerns one
 * delivery is written in the order in which it was recorded.
 */
export interface Recorder {
  /**
   * Calls back when the outcome is committed, or with the reason where the database cannot take it for its content, or where its event is in doubt
   * (EventInDoubt). While the database is away, it waits: nothing is given up.
   */
  record(outcome: Outcome, onRecorded: (refusal?: unknown) => void): void;
  /**
   * Whether the database does not take outcomes at the moment: it refuses them, or has not answered for two seconds, or they come faster than it takes
   * them. What is sent now would fill the memory, and be sent again if this process ends.
   */
  isFailing(): boolean;
  /** Resolves when everything recorded so far is committed, or rejects after the time. */
  flush(timeoutMs: number): Promise<void>;
}

export interface RecorderOptions {
  sql: Sql;
  /** How long an outcome waits for others where nothing was written just before. */
  lingerMs: number;
  paceMs: number;
  /** The same for outcomes that can wait; `paceMs` where it is left out. */
  patientPaceMs?: number;
  maxBatch: number;
  /** Batches that are written at a time. */
  maxWriting: number;
  /** After each committed batch. */
  onCommit: (batch: CommittedBatch) => void;
  /** The database failed; the batch is tried again after the delay. */
  onRetry: (error: unknown, delayMs: number) => void;
}

export interface CommittedBatch {
  outcomes: number;
  /** Of these, those whose event is in doubt. */
  inDoubt: number;
  /** Deliveries that are still to be sent: as many will begin in lanes. */
  toBeSent: number;
  /** For when deliveries were scheduled: of each webhook the first time, in milliseconds since the epoch. */
  scheduled: ReadonlyMap<string, number>;
  /** The webhooks that got ordered deliveries. */
  ordered: readonly string[];
  /** The organizations of webhooks that it may have disabled. */
  disabledIn: readonly string[];
}

export function createRecorder(options: RecorderOptions): Recorder {
  const { lingerMs, paceMs, patientPaceMs = paceMs, maxBatch, maxWriting } = options;
  let pending: Pending[] = [];
  /** Deliveries without an outcome in a batch that is being written: their outcome waits for it. */
  const handingOver = new Set<string>();
  let writing = 0;
  let failing = 0;
  /** Attempts that were made and are not recorded. */
  let attempts = 0;
  /** Of their responses. */
  let responseBytes = 0;
  /** When the batches that are being written were begun, the oldest first, as `performance.now()` counts. */
  const begun: number[] = [];
  let lastBegunAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Number.POSITIVE_INFINITY;
  const idle: (() => void)[] = [];

  /** The oldest of what may be written now. */
  const takeBatch = (): Pending[] => {
    if (handingOver.size === 0) {
      const batch = pending.slice(0, maxBatch);
      pending = pending.slice(maxBatch);
      return batch;
    }
    const batch: Pending[] = [];
    const left: Pending[] = [];
    for (const one of pending) {
      (batch.length < maxBatch && !handingOver.has(one.outcome.delivery.id) ? batch : left).push(one);
    }
    pending = left;
    return batch;
  };

  const write = async (batch: readonly Pending[]): Promise<void> => {
    let hasFailed = false;
    const failed = (error: unknown, delayMs: number): void => {
      failing += hasFailed ? 0 : 1;
      hasFailed = true;
      options.onRetry(error, delayMs);
    };
    const handedOver = batch.filter(({ outcome }) => outcome.attempt === undefined);
    for (const { outcome } of handedOver) handingOver.add(outcome.delivery.id);
    const begunAt = performance.now();
    begun.push(begunAt);
    await commit({ ...options, onRetry: failed }, batch);
    attempts -= batch.length - handedOver.length;
    for (const { outcome } of batch) responseBytes -= outcome.attempt?.responseBody.byteLength ?? 0;
    begun.splice(begun.indexOf(begunAt), 1);
    if (hasFailed) failing -= 1;
    for (const { outcome } of handedOver) handingOver.delete(outcome.delivery.id);
  };

  const begin = (): void => {
    clearTimeout(timer);
    timer = undefined;
    timerAt = Number.POSITIVE_INFINITY;
    const batch = takeBatch();
    // What waits may all concern deliveries that are being handed over: it goes on when they are.
    if (batch.length > 0) {
      writing += 1;
      lastBegunAt = performance.now();
      void write(batch).then(onWritten);
    }
  };
  const beginAt = (at: number): void => {
    if (at < timerAt) {
      clearTimeout(timer);
      timerAt = at;
      timer = setTimeout(begin, at - performance.now());
    }
  };
  const onWritten = (): void => {
    writing -= 1;
    if (pending.length >= enough || pending.some(isOrdered)) {
      begin();
    } else if (pending.length > 0) {
      beginSoon(pending.every(canWait));
    }
    if (writing === 0 && pending.length === 0) {
      for (const resolve of idle.splice(0)) {
        resolve();
      }
    }
  };
  const beginSoon = (isPatient: boolean): void => {
    if (writing === 0) {
      beginAt(Math.max(performance.now() + lingerMs, lastBegunAt + (isPatient ? patientPaceMs : paceMs)));
    }
  };

  return {
    record(outcome, onRecorded) {
      const one = { outcome, onRecorded };
      pending.push(one);
      if (outcome.attempt !== undefined) {
        attempts += 1;
        responseBytes += outcome.attempt.responseBody.byteLength;
      }
      if (pending.length >= enough) {
        if (writing < maxWriting) begin();
      } else if (writing === 0 && isOrdered(one)) {
        beginAt(performance.now() + lingerMs);
      } else {
        beginSoon(canWait(one));
      }
    },
    isFailing: () =>
      failing > 0 ||
      attempts > maxAttempts ||
      responseBytes > maxResponseBytes ||
      (begun[0] !== undefined && performance.now() - begun[0] > silenceMs),
    async flush(timeoutMs) {
      if (writing === 0 && pending.length === 0) {
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
  onRecorded: (refusal?: unknown) => void;
}

/** The next delivery of its key waits for it. */
function isOrdered({ outcome }: Pending): boolean {
  return outcome.delivery.orderingKey !== null;
}

function canWait({ outcome }: Pending): boolean {
  return outcome.canWait === true;
}

/**
 * As long as fewer wait, one larger batch later costs less than one now, and less than another one beside one that is being written: of a batch of 200
 * each costs 2 µs of CPU less than of one of 100, Postgres and this process together.
 */
const enough = 200;

/** Longer than a disk stalls now and then, and far shorter than the time after which the database counts as lost. */
const silenceMs = 2_000;
/** Some seconds of work. */
const maxAttempts = 20_000;
/** A few thousand of the largest responses. */
const maxResponseBytes = 64 * 1024 * 1024;

const firstRetryMs = 50;
/** Short, because what was sent and is not recorded is sent again if the process dies. */
const maxRetryMs = 1_000;

/** Never throws. What the database cannot take for its content is found by halving the batch, and refused alone. */
async function commit(options: RecorderOptions, batch: readonly Pending[]): Promise<void> {
  const outcomes = batchOf(batch);
  let inDoubt: ReadonlySet<string>;
  for (let delayMs = firstRetryMs; ; delayMs = Math.min(delayMs * 2, maxRetryMs)) {
    try {
      inDoubt = await recordOutcomes(options.sql, outcomes);
      break;
    } catch (error) {
      if (isAboutContent(error)) {
        return await commitHalves(options, batch, error);
      }
      options.onRetry(error, delayMs);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
  options.onCommit({
    outcomes: batch.length,
    inDoubt: inDoubt.size,
    toBeSent: outcomes.deliveries.filter(({ completedAt }) => completedAt === null).length,
    scheduled: scheduledTimes(outcomes.deliveries),
    ordered: orderedWebhooks(outcomes.deliveries),
    disabledIn: outcomes.disablings.map(({ organizationId }) => organizationId),
  });
  for (const { outcome, onRecorded } of batch) {
    onRecorded(inDoubt.has(outcome.delivery.id) ? new EventInDoubt() : undefined);
  }
}

async function commitHalves(options: RecorderOptions, batch: readonly Pending[], error: unknown): Promise<void> {
  const [only] = batch;
  if (batch.length === 1 && only !== undefined) {
    only.onRecorded(error);
    return;
  }
  const middle = Math.ceil(batch.length / 2);
  await commit(options, batch.slice(0, middle));
  await commit(options, batch.slice(middle));
}

/** Of a delivery that is in the batch twice, such as handed over and then finished, the later word counts. */
function batchOf(batch: readonly Pending[]): OutcomeBatch {
  const deliveries = new Map<string, DeliveryRecord>();
  const attempts: AttemptRecord[] = [];
  const disablings: Disabling[] = [];
  for (const { outcome } of batch) {
    deliveries.set(outcome.delivery.id, outcome.delivery);
    if (outcome.attempt !== undefined) attempts.push(outcome.attempt);
    if (outcome.disabling !== undefined) disablings.push(outcome.disabling);
  }
  return { deliveries: [...deliveries.values()], attempts, disablings };
}

function orderedWebhooks(deliveries: readonly DeliveryRecord[]): string[] {
  return deliveries.flatMap(({ webhookId, orderingKey }) => (orderingKey === null ? [] : [webhookId]));
}

function scheduledTimes(deliveries: readonly DeliveryRecord[]): Map<string, number> {
  const times = new Map<string, number>();
  for (const { webhookId, nextAttemptAt } of deliveries) {
    if (nextAttemptAt !== null && Number.isFinite(nextAttemptAt)) {
      times.set(webhookId, Math.min(nextAttemptAt, times.get(webhookId) ?? nextAttemptAt));
    }
  }
  return times;
}
