import type { Broker } from "../broker/broker.ts";
import { nextAllowedAt, rateTimeAfter } from "../domain/rate-limit.ts";
import { type DueDelivery, dueDeliveries } from "../store/sql/lanes.ts";
import { endTurns } from "../store/sql/turns.ts";
import type { Sql } from "../store/sql.ts";
import type { Endpoint, Endpoints } from "./endpoints.ts";
import { attemptDue } from "./lane-attempt.ts";
import type { MakeAttempt } from "./make-attempt.ts";
import { createOrderedTurns } from "./ordered-turns.ts";
import type { Recorder } from "./recorder.ts";
import type { RequestSlots, RequestSource } from "./request-slots.ts";
import type { SharedBytes } from "./shared-bytes.ts";
import type { Subscription } from "./subscription.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { createWaker } from "./waker.ts";

export interface DrainLaneOptions {
  sql: Sql;
  broker: Pick<Broker, "recordedThrough">;
  subscriptions: Subscriptions;
  makeAttempt: MakeAttempt;
  recorder: Recorder;
  endpoints: Endpoints;
  slots: RequestSlots;
  /** For what is late already: it came longer ago than `backlogAgeMs`. */
  backlogSlots: RequestSlots;
  backlogAgeMs: number;
  /** What the payloads that are read may take of the memory, shared by all lanes. */
  memory: SharedBytes;
  now: () => number;
  /** How often the database is asked for lanes, or for deliveries of a lane, that nobody told of. */
  pollIntervalMs: number;
}

/** A lane that this process holds. */
export interface HeldLane {
  webhookId: string;
  organizationId: string;
  /** Who holds it, and since which claim. */
  owner: string;
  fence: number;
  /** Until when a process that did not give it back may have begun requests, in milliseconds since the epoch; null: there was none. */
  leftAt: number | null;
  /** Whether ordered deliveries waited in it when it was claimed. */
  hasOrdered: boolean;
  /** Whether a request may still begin: nobody wants us to stop, and the lease has certainly not run out. */
  mayBegin(): boolean;
  /** A request began or ended. */
  onProgress(): void;
}

/** The work on one lane. */
export interface LaneDrain {
  /**
   * Attempts what is due, in the order of its times, until nothing is, the webhook is not active any more, its breaker is open, its rate limit
   * asks for a long pause, or no request may begin. Resolves when everything that was begun is recorded, with the time before which the lane
   * need not be looked at (milliseconds since the epoch; 0: no bound).
   */
  run(): Promise<number>;
  /** The webhook was changed, or no request may begin any more. */
  look(): void;
  /** A delivery was cancelled: what was read before, or is being read, is read again. */
  deliveryCancelled(): void;
  /** Ordered deliveries were recorded: it may be the turn of some. */
  lookAtTurns(): void;
}

export function createLaneDrain(options: DrainLaneOptions, lane: HeldLane): LaneDrain {
  const { endpoints, recorder, now, pollIntervalMs } = options;
  const endpoint = endpoints.of(lane.webhookId);
  const waker = createWaker(now);
  /** The payloads of what is ready and of what is under way. */
  const memory = options.memory.share();
  /** By the delivery's id: while one is not recorded, the database still shows it as due. */
  const underWay = new Set<string>();
  let begunSinceAsked = 0;
  /** Due, and not begun. */
  const ready: DueDelivery[] = [];
  let askedAt = Number.NEGATIVE_INFINITY;
  let answeredAt = Number.NEGATIVE_INFINITY;
  /** Whether what is ready waits for its turn in the backlog. */
  let isHeldBack = false;
  /** How many deliveries were cancelled since the lane was claimed. */
  let cancelled = 0;
  /** Whether the last answer was all that is due. */
  let isAll = false;
  let pauseMs = pollIntervalMs;
  let subscription: Subscription | undefined;
  /** How many changes of the webhook were told of since the lane was claimed. */
  let changes = 0;
  let failure: unknown;
  /** Ordered deliveries may wait, and the webhook asks for no order any more. */
  let isOrderToEnd = lane.hasOrdered;
  let { leftAt } = lane;
  const turns = createOrderedTurns({
    sql: options.sql,
    broker: options.broker,
    now,
    lane,
    onDue() {
      isAll = false;
      waker.wake();
    },
    onFailure(error) {
      failure ??= error;
      waker.wake();
    },
  });

  /** How long the rate limit asks to wait; not positive where it does not. */
  const restMs = (): number =>
    subscription?.rateLimit ? nextAllowedAt(subscription.rateLimit, endpoint.rateTime) - now() : 0;

  const mayBegin = (): boolean =>
    subscription !== undefined &&
    failure === undefined &&
    lane.mayBegin() &&
    endpoints.mayStart(endpoint) &&
    restMs() <= 0;

  /** As many as keep the receiver busy until the next batch is here, judged by how many the last one was good for; what has no turn in time is read again. */
  const batchSize = (): number =>
    Math.min(Math.max(isHeldBack ? 1 : 2 * Math.floor(endpoint.limit.value), 2 * begunSinceAsked), maxBatch);

  const isLow = (): boolean => ready.length * 2 < batchSize();

  const slotsFor = ({ createdAt }: DueDelivery): RequestSlots =>
    createdAt < now() - options.backlogAgeMs ? options.backlogSlots : options.slots;

  const send = async (due: DueDelivery, to: Subscription): Promise<void> => {
    const slots = slotsFor(due);
    underWay.add(due.id);
    begunSinceAsked += 1;
    if (to.rateLimit !== null) {
      endpoint.rateTime = rateTimeAfter(to.rateLimit, endpoint.rateTime, now());
    }
    endpoints.start(endpoint);
    const slot = slots.begin();
    lane.onProgress();
    const outcome = await attemptDue(options, due, to).catch((error) => {
      failure ??= error;
      return undefined;
    });
    lane.onProgress();
    const done = (refusal?: unknown): void => {
      failure ??= refusal;
      underWay.delete(due.id);
      memory.give(bytesOf(due));
      if (due.orderingKey !== null) {
        // The next one of its key became due with the record of this one.
        isAll = false;
      }
      lookIfNeeded();
    };
    if (outcome === undefined) {
      done();
    } else {
      recorder.record(outcome, done);
    }
    endpoints.finish(endpoint, outcome?.attempt, "lane");
    slots.end(slot);
    lookIfNeeded();
  };

  /** They are due still, and read again. */
  const dropReady = (): void => {
    for (const due of ready.splice(0)) memory.give(bytesOf(due));
    isAll = false;
  };

  /** Where there is none, one goes in any case: whatever is larger than all of the memory goes alone. */
  const isMemoryFull = (): boolean => memory.free() <= 0 && ready.length + underWay.size > 0;

  const keepReady = (due: readonly DueDelivery[]): void => {
    for (const each of due) {
      if (isMemoryFull()) {
        // Other lanes took theirs meanwhile.
        isAll = false;
        return;
      }
      memory.take(bytesOf(each));
      ready.push(each);
    }
  };

  const source: RequestSource = {
    organizationId: lane.organizationId,
    beginNext() {
      if (now() - answeredAt > freshMs) {
        // Cancelled or changed meanwhile, maybe: asked for again.
        dropReady();
      }
      const due = mayBegin() ? ready.shift() : undefined;
      if (due !== undefined && subscription !== undefined) {
        void send(due, subscription);
      }
      lookIfNeeded();
      return due !== undefined && ready.length > 0 && mayBegin();
    },
  };

  /** Begins as much as may begin. */
  const sendReady = (): void => {
    isHeldBack = false;
    for (let [next] = ready; next !== undefined && mayBegin(); [next] = ready) {
      const slots = slotsFor(next);
      if (!slots.isFree()) {
        isHeldBack = slots === options.backlogSlots;
        slots.wait(source);
        return;
      }
      source.beginNext();
    }
  };

  /** Most ends of requests only begin the next; the loop has its say where there is something to ask, or nothing left. */
  const lookIfNeeded = (): void => {
    const isOver = underWay.size === 0 || failure !== undefined || endpoint.breaker.state !== "closed";
    if (isOver || (!isAll && isLow())) {
      waker.wake();
    }
  };

  const ask = async (): Promise<void> => {
    const limit = batchSize();
    // As of before the question: what is recorded while the database answers is due in its answer still.
    const except = [...underWay, ...ready.map(({ id }) => id)];
    askedAt = now();
    begunSinceAsked = 0;
    const cancelledBefore = cancelled;
    const maxBytes = Math.max(1, memory.free());
    const range = { webhookId: lane.webhookId, now: askedAt, limit, maxBytes, except };
    const due = await dueDeliveries(options.sql, range);
    answeredAt = now();
    if (cancelled > cancelledBefore) {
      // It may be among these.
      isAll = false;
      return;
    }
    isAll = due.isAll;
    keepReady(due.deliveries);
    pauseMs = due.deliveries.length > 0 ? pollIntervalMs : Math.min(pauseMs * 2, maxPauseMs);
  };

  /** Where everything is known to be under way, the question is only whether more has become due. */
  const isToAsk = (): boolean => {
    if (!isLow() || isMemoryFull()) return false;
    if (!isAll || underWay.size === 0) return true;
    return ready.length === 0 && endpoints.mayStart(endpoint) && now() - askedAt >= pauseMs;
  };

  /** Whoever was killed with the lane may have begun a request as the last thing. */
  const countLeft = (): void => {
    if (leftAt !== null && subscription?.rateLimit) {
      endpoint.rateTime = rateTimeAfter(subscription.rateLimit, endpoint.rateTime, leftAt);
      leftAt = null;
    }
  };

  /** Some of what waits for its turn is due, where the webhook asks for no order any more. */
  const endOrder = async ({ ordering }: Subscription): Promise<void> => {
    if (isOrderToEnd && ordering === "NONE") {
      isOrderToEnd = (await endTurns(options.sql, lane.webhookId)) > 0;
      isAll &&= !isOrderToEnd;
    }
  };

  /** What was being read when a change was told of is read again. */
  const readSubscription = async (): Promise<void> => {
    for (let isOld = subscription === undefined; isOld; ) {
      const changesBefore = changes;
      const found = await activeSubscription(options.subscriptions, lane);
      isOld = changes > changesBefore;
      subscription = isOld ? undefined : found;
    }
  };

  /** One round of the work. Returns whether there may be more to do. */
  const proceed = async (): Promise<boolean> => {
    await readSubscription();
    countLeft();
    if (subscription === undefined || isOpen(endpoint, now()) || restMs() > maxHeldRestMs) {
      return false;
    }
    // What was recorded as ordered has its turn, also where the webhook is not ordered any more.
    const isOrdered = lane.hasOrdered || subscription.ordering === "BY_KEY";
    if (isOrdered) {
      turns.look();
    }
    await endOrder(subscription);
    const isAsked = isToAsk();
    if (isAsked) {
      await ask();
    }
    sendReady();
    if (ready.length === 0 && underWay.size === 0 && isAsked && isAll && restMs() <= 0) {
      return isOrdered && (await areTurnsLeft());
    }
    const roundMs = isOrdered ? Math.min(pauseMs, maxOrderedPauseMs) : pauseMs;
    await waker.wait(Math.max(1, restMs() > 0 ? restMs() : roundMs));
    return true;
  };

  const look = (): void => {
    changes += 1;
    subscription = undefined;
    // Read under what held before the change: some of it may have been cancelled.
    dropReady();
    waker.wake();
  };

  const giveUp = (error: unknown): false => {
    failure ??= error;
    return false;
  };

  /** Nothing is due. Whether something will be soon, because it waits only for what the broker holds before it. */
  const areTurnsLeft = async (): Promise<boolean> => {
    const found = await turns.lookNow();
    if (found === "waiting") {
      await waker.wait(turnsPauseMs);
    }
    return found !== "none";
  };

  return {
    async run() {
      endpoint.waiting.lane = () => {
        sendReady();
        lookIfNeeded();
      };
      try {
        // A failure of ours ends the rounds, and not the wait for what is under way: given back before, the lane would be worked on twice.
        while (failure === undefined && lane.mayBegin() && (await proceed().catch(giveUp)));
        dropReady();
        while (underWay.size > 0) {
          await waker.wait(maxPauseMs);
        }
      } finally {
        endpoint.waiting.lane = undefined;
      }
      if (failure !== undefined) {
        throw failure;
      }
      return notBefore(endpoint, subscription, now());
    },
    look,
    deliveryCancelled() {
      cancelled += 1;
      look();
    },
    lookAtTurns: () => waker.wake(),
  };
}

/** How many deliveries are asked for at most beyond those that are known. */
const maxBatch = 256;
/** Where the database has not answered for longer, what was read is not sent without another look at how it stands. */
const freshMs = 1_000;
const maxPauseMs = 4_000;
/** In a lane with ordered deliveries other processes may have recorded more of them. */
const maxOrderedPauseMs = 200;
/** What waits for the broker's mark waits for milliseconds, mostly. */
const turnsPauseMs = 10;
/** For a longer pause a lane is given back. */
const maxHeldRestMs = 1_000;

/** Of the payload, as far as it is known without counting: letters of more than one byte count as one. */
function bytesOf({ dataJson }: DueDelivery): number {
  return dataJson?.length ?? 0;
}

function isOpen({ breaker }: Endpoint, now: number): boolean {
  return breaker.state === "open" && breaker.openUntil > now;
}

function notBefore(endpoint: Endpoint, subscription: Subscription | undefined, now: number): number {
  const { breaker, rateTime } = endpoint;
  if (breaker.state === "open" && breaker.openUntil > now) {
    return breaker.openUntil;
  }
  return subscription?.rateLimit ? Math.max(0, nextAllowedAt(subscription.rateLimit, rateTime)) : 0;
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
