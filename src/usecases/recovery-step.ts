import { deliveryIdOf, firstIdAt } from "../domain/ids.ts";
import { createTypeIndex } from "../domain/matching.ts";
import { failedDeliveries, rescheduleMany } from "../store/sql/recover-failed.ts";
import {
  eventsReceived,
  placeBefore,
  type ReceivedEvent,
  recordedDeliveries,
  scheduleDeliveries,
} from "../store/sql/recover-never-sent.ts";
import {
  advanceRecovery,
  countDue,
  endRecovery,
  lockDueRecovery,
  makeRecoveredLaneDue,
  type RecoveryJob,
  type RecoveryStep,
  restRecovery,
} from "../store/sql/recovery-jobs.ts";
import type { Sql } from "../store/sql.ts";

/** What a step came to: `idle` where no recovery is due. */
export type StepOutcome = "idle" | "rested" | "moved" | "ended";

/**
 * One step of the recovery that has waited longest. What it makes due, its place and its counts are committed together: a crash repeats no
 * part of it, and counts none twice.
 */
export async function stepRecovery(sql: Sql, now: number): Promise<StepOutcome> {
  return await sql.transaction(async (transaction) => {
    const job = await lockDueRecovery(transaction, now);
    return job === undefined ? "idle" : await step(transaction, job, now);
  });
}

async function step(transaction: Sql, job: RecoveryJob, now: number): Promise<StepOutcome> {
  const { id, webhookId, webhookStatus: status } = job;
  if (status === null || status === "DISABLED") {
    const reason = status === null ? "the webhook was deleted" : "the webhook was disabled";
    await endRecovery(transaction, id, { status: "FAILED", reason, now });
    return "ended";
  }
  if (status !== "ACTIVE") {
    const reason = `waits: the webhook is ${status}`;
    await restRecovery(transaction, id, { reason, dueAt: now + inactiveRestMs });
    return "rested";
  }
  if ((await countDue(transaction, { webhookId, now, limit: maxDue })) >= maxDue) {
    const reason = `waits for the receiver: ${maxDue} deliveries or more are due`;
    await restRecovery(transaction, id, { reason, dueAt: now + busyRestMs });
    return "rested";
  }
  const part =
    job.scope === "FAILED" ? await resendFailed(transaction, job, now) : await sendNew(transaction, job, now);
  await advanceRecovery(transaction, id, { step: part.step, now });
  if (part.step.resent > 0) await makeRecoveredLaneDue(transaction, webhookId);
  if (part.isEnd) {
    await endRecovery(transaction, id, { status: "COMPLETED", reason: "", now });
    return "ended";
  }
  if (part.isAhead) {
    const reason = "waits for the events of this moment to be on record";
    await restRecovery(transaction, id, { reason, dueAt: now + settlingRestMs });
  }
  return "moved";
}

/** A step that was made. */
interface Part {
  step: RecoveryStep;
  /** It was the last one. */
  isEnd: boolean;
  /** The next one has nothing to look at yet. */
  isAhead: boolean;
}

async function resendFailed(transaction: Sql, job: RecoveryJob, now: number): Promise<Part> {
  const range = {
    webhookId: job.webhookId,
    after: job.cursorId ?? firstIdAt(job.since),
    before: firstIdAt(job.until),
  };
  const { ids, examined, last, isEnd } = await failedDeliveries(transaction, range, {
    maxLooked: maxLookedAt,
    maxFailed: stepSize,
  });
  const resent = await rescheduleMany(transaction, { ids, status: "EXHAUSTED", manualRetry: "ONCE", now });
  return { step: { cursorTime: null, cursorId: last ?? job.cursorId, examined, resent }, isEnd, isAhead: false };
}

async function sendNew(transaction: Sql, job: RecoveryJob, now: number): Promise<Part> {
  const { organizationId, webhookId, cursorTime, cursorId } = job;
  // An event that came a moment ago may be on its way from memory, without a record yet.
  const settledBefore = now - settlingMs;
  const events = await eventsReceived(transaction, {
    organizationId,
    after: cursorTime === null || cursorId === null ? placeBefore(job.since) : { time: cursorTime, id: cursorId },
    before: Math.min(job.until, settledBefore),
    limit: stepSize,
  });
  const wanted = events.filter(matcherOf(job)).map((event) => ({
    id: deliveryIdOf(event.id, event.receivedAt, webhookId),
    event,
  }));
  const recorded = await recordedDeliveries(
    transaction,
    wanted.map(({ id }) => id),
  );
  const missing = wanted.filter(({ id }) => !recorded.has(id));
  const untried = wanted.filter(({ id }) => recorded.get(id)?.isUntried).map(({ id }) => id);
  const resent =
    (await scheduleDeliveries(transaction, missing, { organizationId, webhookId, now })) +
    (await rescheduleMany(transaction, { ids: untried, status: "CANCELLED", manualRetry: null, now }));
  const last = events.at(-1);
  const isThrough = events.length < stepSize;
  return {
    step: {
      cursorTime: last?.receivedAtText ?? cursorTime,
      cursorId: last?.id ?? cursorId,
      examined: events.length,
      resent,
    },
    isEnd: isThrough && job.until <= settledBefore,
    isAhead: isThrough && job.until > settledBefore,
  };
}

/** Whether the webhook wants an event, as it is now. Events that were sent to one webhook by itself are for nobody else. */
function matcherOf({ eventTypes, projectIds }: RecoveryJob): (event: ReceivedEvent) => boolean {
  const subscribersOf = createTypeIndex([{ eventTypes: eventTypes ?? [] }]);
  const projects = new Set(projectIds);
  return ({ type, projectId, audience }) =>
    audience === "SUBSCRIBERS" &&
    (projects.size === 0 || (projectId !== null && projects.has(projectId))) &&
    subscribersOf(type).length > 0;
}

/** How many deliveries or events one step moves at most. */
const stepSize = 500;

/** How many deliveries that did not arrive one step looks at, most of which failed; the others were cancelled. */
const maxLookedAt = 2_000;

/** While so many deliveries are due, the receiver is behind, and a recovery adds none. */
const maxDue = 5_000;

const busyRestMs = 1_000;
const inactiveRestMs = 5_000;

/** After this time an event's deliveries are on record, unless a process died with them. */
const settlingMs = 10_000;
const settlingRestMs = 1_000;
