import { outgoingEvent } from "../domain/outgoing-event.ts";
import { type DueDelivery, dueDeliveries } from "../store/sql/lanes.ts";
import type { Sql } from "../store/sql.ts";
import type { AttemptTask, MakeAttempt } from "./make-attempt.ts";
import type { Outcome, Recorder } from "./recorder.ts";
import type { Subscription, Subscriptions } from "./subscriptions.ts";

export interface DrainLaneOptions {
  sql: Sql;
  subscriptions: Subscriptions;
  makeAttempt: MakeAttempt;
  recorder: Recorder;
  now: () => number;
  /** Requests at once to one webhook. */
  maxPerWebhook: number;
  /** How often the database is asked for lanes, or for deliveries of a lane, that nobody told of. */
  pollIntervalMs: number;
  isStopping: () => boolean;
}

/**
 * Attempts what is due in a lane, in the order of its times, until nothing is, the webhook is not active any more, or we are to stop.
 * Resolves when everything that was started is recorded.
 */
export async function drainLane(
  options: DrainLaneOptions,
  lane: { webhookId: string; organizationId: string },
): Promise<void> {
  /** By the delivery's id: while one is not recorded, the database still shows it as due. */
  const underWay = new Map<string, Promise<void>>();
  let failure: unknown;

  const begin = (delivery: DueDelivery, subscription: Subscription): void => {
    const recorded = outcomeOf(options, delivery, subscription)
      .then((outcome) => options.recorder.record(outcome))
      .catch((error) => {
        failure ??= error;
      })
      .finally(() => underWay.delete(delivery.id));
    underWay.set(delivery.id, recorded);
  };

  while (failure === undefined && !options.isStopping()) {
    const subscription = await activeSubscription(options.subscriptions, lane);
    if (subscription === undefined) {
      break;
    }
    // As of before the question: what is recorded while the database answers is due in its answer still.
    const begun = new Set(underWay.keys());
    const due = await dueDeliveries(options.sql, {
      webhookId: lane.webhookId,
      now: options.now(),
      limit: options.maxPerWebhook + underWay.size,
    });
    const waiting = due.filter(({ id }) => !begun.has(id)).slice(0, options.maxPerWebhook - underWay.size);
    if (waiting.length === 0 && underWay.size === 0) {
      break;
    }
    for (const delivery of waiting) {
      begin(delivery, subscription);
    }
    await room(underWay, options);
  }
  await Promise.all(underWay.values());
  if (failure !== undefined) {
    throw failure;
  }
}

/**
 * Asked again when half of the room is free: a statement serves several deliveries, and the receiver is kept busy. Or after a while: a request
 * that hangs must not hold up what becomes due beside it.
 */
async function room(
  underWay: ReadonlyMap<string, Promise<void>>,
  { maxPerWebhook, pollIntervalMs }: Pick<DrainLaneOptions, "maxPerWebhook" | "pollIntervalMs">,
): Promise<void> {
  const pause = Promise.withResolvers<void>();
  const timer = setTimeout(pause.resolve, pollIntervalMs);
  const halfFree = async (): Promise<void> => {
    do {
      await Promise.race(underWay.values());
    } while (underWay.size > maxPerWebhook / 2);
  };
  await Promise.race([halfFree(), pause.promise]);
  clearTimeout(timer);
}

/** The lane was claimed for an active webhook: where memory knows of none, memory is too old. */
async function activeSubscription(
  subscriptions: Subscriptions,
  { webhookId, organizationId }: { webhookId: string; organizationId: string },
): Promise<Subscription | undefined> {
  const known = (await subscriptions.of(organizationId))?.byId.get(webhookId);
  if (known?.status === "ACTIVE") {
    return known;
  }
  subscriptions.invalidate(organizationId);
  const read = (await subscriptions.of(organizationId))?.byId.get(webhookId);
  return read?.status === "ACTIVE" ? read : undefined;
}

async function outcomeOf(
  { makeAttempt, now }: DrainLaneOptions,
  due: DueDelivery,
  subscription: Subscription,
): Promise<Outcome> {
  const { dataJson, occurredAt, ...rest } = due;
  if (dataJson === null || occurredAt === null) {
    return payloadGone(due, subscription, now());
  }
  const task: AttemptTask = {
    deliveryId: due.id,
    event: outgoingEvent({
      ...rest,
      id: due.eventId,
      type: due.eventType,
      dataJson,
      occurredAt: new Date(occurredAt),
    }),
    subscription,
    attemptCount: due.attemptCount,
    manualRetry: due.manualRetry,
    createdAt: due.createdAt,
  };
  return await makeAttempt(task);
}

/** There is nothing left to send. The count goes up by one, so that the record replaces the scheduled one. */
function payloadGone(due: DueDelivery, { webhookId }: Subscription, now: number): Outcome {
  return {
    delivery: {
      id: due.id,
      organizationId: due.organizationId,
      webhookId,
      eventId: due.eventId,
      eventType: due.eventType,
      status: "EXHAUSTED",
      statusReason: "the event is past its retention: its payload is gone",
      attemptCount: due.attemptCount + 1,
      nextAttemptAt: null,
      lastStatusCode: 0,
      createdAt: due.createdAt,
      completedAt: now,
    },
  };
}
