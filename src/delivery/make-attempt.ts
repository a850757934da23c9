import type { ManualRetry } from "../domain/delivery.ts";
import { type DeliveryTransition, transitionAfter } from "../domain/delivery-transition.ts";
import { type IdSource, newUuid } from "../domain/ids.ts";
import type { OutgoingEvent } from "../domain/outgoing-event.ts";
import { TellwireError } from "../errors.ts";
import { type AttemptInput, type AttemptOutcome, attempt } from "../outbound/attempt.ts";
import type { HttpClient } from "../outbound/http-client.ts";
import type { Disabling } from "../store/sql/disable-webhook.ts";
import type { Incarnation } from "../store/sql/incarnation.ts";
import type { AttemptRecord } from "../store/sql/write-attempts.ts";
import type { DeliveryRecord } from "../store/sql/write-deliveries.ts";
import type { Outcome } from "./recorder.ts";
import { type Subscription, signingKeysAt } from "./subscription.ts";

/** A delivery to attempt, as it stands. */
export interface AttemptTask {
  deliveryId: string;
  event: OutgoingEvent;
  subscription: Subscription;
  /** Attempts made before this one. */
  attemptCount: number;
  manualRetry: ManualRetry | null;
  /** When the delivery was created, which is when its event was received, in milliseconds since the epoch. */
  createdAt: number;
  /** The event's place in the broker's order; null where it came another way. */
  sequence: number | null;
  /** Null unless the webhook is ordered and the event has a key. */
  orderingKey: string | null;
  /** The incarnation of the database with which the event may be lost; undefined where it outlives a crash. */
  eventIn?: Incarnation | undefined;
}

/**
 * Makes one attempt and says what became of the delivery. Never rejects for what a receiver does, nor where our own code fails on this delivery, which
 * is a failed attempt: it would fail in the same way each time. Rejects with SHUTTING_DOWN where the client was closed.
 */
export type MakeAttempt = (task: AttemptTask) => Promise<Outcome>;

/** What is told of each attempt as soon as it is over, for the log and the figures. */
export interface AttemptReport {
  task: AttemptTask;
  outcome: AttemptOutcome;
  transition: DeliveryTransition;
}

export interface MakeAttemptOptions {
  client: HttpClient;
  ids: IdSource;
  random: () => number;
  onAttempt: (report: AttemptReport) => void;
  /** In place of `onAttempt`, where our own code failed. */
  onBroken: (report: AttemptReport, error: unknown) => void;
  /** A request begins (1) or is over (-1). */
  onInFlight: (change: 1 | -1) => void;
}

export function createMakeAttempt(options: MakeAttemptOptions): MakeAttempt {
  const { client, ids, random, onAttempt, onBroken, onInFlight } = options;
  const context = { client, now: ids.now };

  const reportOf = (task: AttemptTask, outcome: AttemptOutcome): AttemptReport => {
    const transition = transitionAfter({
      verdict: outcome.verdict,
      attemptNumber: task.attemptCount + 1,
      policy: task.subscription.policy,
      manualRetry: task.manualRetry,
      retryAfterMs: outcome.retryAfterMs,
      now: ids.now(),
      random,
    });
    return { task, outcome, transition };
  };

  const conclude = (task: AttemptTask, outcome: AttemptOutcome): Outcome => {
    const report = reportOf(task, outcome);
    onAttempt(report);
    return outcomeOf(report, newUuid(ids));
  };

  return async (task) => {
    try {
      const signing = signingKeysAt(task.subscription, ids.now());
      if (signing.kind === "unusable") {
        return conclude(task, notSent("SECRET_UNUSABLE", signing.problem, ids.now()));
      }
      const input = attemptInput(task, signing.keys);
      let outcome: AttemptOutcome;
      onInFlight(1);
      try {
        outcome = await attempt(input, context);
      } finally {
        onInFlight(-1);
      }
      return conclude(task, outcome);
    } catch (error) {
      if (error instanceof TellwireError && error.reason === "SHUTTING_DOWN") throw error;
      const report = reportOf(task, notSent("INTERNAL", internalProblem, ids.now()));
      onBroken(report, error);
      return outcomeOf(report, newUuid(ids));
    }
  };
}

function attemptInput(task: AttemptTask, signingKeys: AttemptInput["signingKeys"]): AttemptInput {
  const { subscription, event } = task;
  const { webhookId, url, headers, format, requestOrigin } = subscription;
  return {
    webhookId,
    url,
    headers,
    format,
    payload: event.payload(format, subscription.configJson),
    eventId: event.publicId,
    eventType: event.type,
    deliveryId: task.deliveryId,
    signingKeys,
    timeoutMs: subscription.policy.timeoutMs,
    requestOrigin,
  };
}

/** For the webhook's owner: what exactly failed is the operator's to know. */
const internalProblem =
  "Tellwire failed to make this attempt, which is not the receiver's doing: ask the operator to look into the log for this delivery";

/** An attempt that failed on our side. */
function notSent(error: "SECRET_UNUSABLE" | "INTERNAL", problem: string, now: number): AttemptOutcome {
  return {
    startedAt: now,
    latencyMs: 0,
    statusCode: 0,
    error,
    errorMessage: problem,
    responseBody: Buffer.alloc(0),
    verdict: "failed",
    retryAfterMs: undefined,
  };
}

/** The delivery as scheduled, without an attempt: it waits in its lane until the time. */
export function scheduled(task: AttemptTask, nextAttemptAt: number): Outcome {
  const state: DeliveryState = { status: "SCHEDULED", statusReason: "", nextAttemptAt, completedAt: null };
  return { delivery: deliveryRecord(task, state, { attemptCount: task.attemptCount, lastStatusCode: 0 }) };
}

function outcomeOf({ task, outcome, transition }: AttemptReport, attemptId: string): Outcome {
  const { startedAt, latencyMs, statusCode, error, responseBody } = outcome;
  const number = task.attemptCount + 1;
  const attemptRecord: AttemptRecord = {
    id: attemptId,
    deliveryId: task.deliveryId,
    number,
    trigger: task.manualRetry === null ? "SCHEDULE" : "MANUAL",
    startedAt,
    latencyMs,
    statusCode,
    error,
    errorMessage: storableText(outcome.errorMessage),
    responseBody,
    url: task.subscription.url,
  };
  const delivery = deliveryRecord(task, transition, { attemptCount: number, lastStatusCode: statusCode });
  const disabling = error === "INTERNAL" ? undefined : disablingOf(task, transition);
  return disabling === undefined
    ? { delivery, attempt: attemptRecord }
    : { delivery, attempt: attemptRecord, disabling };
}

/** A receiver that is gone disables its webhook at once; exhausted deliveries do when there were as many in a row as the webhook says. */
function disablingOf(
  { subscription }: AttemptTask,
  { status, disableWebhook }: DeliveryTransition,
): Disabling | undefined {
  const { webhookId, organizationId, disableAfterExhausted } = subscription;
  if (disableWebhook !== null) {
    return { webhookId, organizationId, reason: disableWebhook, afterExhausted: 0 };
  }
  if (status !== "EXHAUSTED" || disableAfterExhausted === null) {
    return undefined;
  }
  const reason =
    disableAfterExhausted === 1
      ? "a delivery was given up after its last attempt"
      : `${disableAfterExhausted} deliveries in a row were given up after their last attempts`;
  return { webhookId, organizationId, reason, afterExhausted: disableAfterExhausted };
}

type DeliveryState = Pick<DeliveryRecord, "status" | "statusReason" | "nextAttemptAt" | "completedAt">;
type DeliveryCounts = Pick<DeliveryRecord, "attemptCount" | "lastStatusCode">;

function deliveryRecord(task: AttemptTask, state: DeliveryState, counts: DeliveryCounts): DeliveryRecord {
  const { event, subscription } = task;
  return {
    id: task.deliveryId,
    organizationId: subscription.organizationId,
    webhookId: subscription.webhookId,
    eventId: event.id,
    eventType: event.type,
    status: state.status,
    statusReason: state.statusReason,
    attemptCount: counts.attemptCount,
    nextAttemptAt: state.nextAttemptAt,
    lastStatusCode: counts.lastStatusCode,
    createdAt: task.createdAt,
    completedAt: state.completedAt,
    orderingKey: task.orderingKey,
    sequence: task.sequence,
    eventIn: task.eventIn,
  };
}

/** Postgres has no place for NUL in a text, and no lone surrogates in UTF-8. */
function storableText(text: string): string {
  return text === "" ? text : text.replaceAll("\0", "�").toWellFormed();
}
