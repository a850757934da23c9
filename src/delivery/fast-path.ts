import { createSlotMap } from "../domain/slot-map.ts";
import type { Endpoint, Endpoints } from "./endpoints.ts";
import { type AttemptTask, type MakeAttempt, scheduled } from "./make-attempt.ts";
import type { Outcome, Recorder } from "./recorder.ts";
import type { RequestSlots, RequestSource } from "./request-slots.ts";
import { createWaitingRoom } from "./waiting-room.ts";

/**
 * Sends to healthy webhooks at once, from memory, with no row written before. A delivery that cannot start, or does not finish, within
 * the budget is handed to its webhook's lane, so that nothing waits for a slow receiver: neither the event's acknowledgement, nor the
 * deliveries of others. What must keep an order or a rate, and what is for a receiver in trouble, goes to the lane straight away.
 */
export interface FastPath {
  /** Whether one more delivery of the organization has room in memory: what has none is to be held back, and not given to `deliver`. */
  hasRoom(organizationId: string): boolean;
  /** Calls back once: when the delivery is recorded, finished or scheduled in its lane, or with the failure for which it is not. */
  deliver(task: AttemptTask, onRecorded: (failure?: unknown) => void): void;
  /** The webhook's lane has run empty: its receiver gets requests at once again. */
  unpark(webhookId: string): void;
  /** Whether a delivery is under way here: to start it once more would send it twice. */
  isUnderWay(deliveryId: string): boolean;
  /** Deliveries that wait in memory for their turn. */
  waiting(): number;
  /** Lets what is under way finish within the time, and hands the rest to the lanes. */
  drain(graceMs: number): Promise<void>;
}

export interface FastPathOptions {
  makeAttempt: MakeAttempt;
  recorder: Recorder;
  endpoints: Endpoints;
  slots: RequestSlots;
  now: () => number;
  /** How many deliveries may be in memory until they are recorded, in all. */
  maxUnderWay: number;
  /** How many deliveries may wait in memory for their turn, in all. */
  maxWaiting: number;
  /** What the payloads of requests that take longer than the budget may be in all, before large ones are left to the lanes. */
  maxLateBytes: number;
  /** How long an event waits for a receiver before the delivery is handed to its lane. */
  budgetMs: number;
  /** How long a webhook that was too slow is served from its lane before it is tried here again. */
  parkMs: number;
}

export function createFastPath(options: FastPathOptions): FastPath {
  const { makeAttempt, recorder, endpoints, slots, now, budgetMs } = options;
  /** In the order of their beginning: the oldest first. */
  const underWay = createSlotMap<Run>();
  /** Of webhooks with something that waits. */
  const queues = new Map<string, Queue>();
  const memory = createWaitingRoom(options.maxUnderWay);
  const room = createWaitingRoom(options.maxWaiting);
  /** The payloads of what was handed over while its request was under way. Its event's message is acknowledged: nothing else counts them. */
  let lateBytes = 0;
  let draining = false;

  const forgetRun = ({ task, isLate }: Run): void => {
    if (underWay.delete(task.deliveryId)) {
      memory.leave(task.subscription.organizationId);
      lateBytes -= isLate ? task.event.bytes : 0;
    }
  };

  /** Until a delivery is recorded it counts as under way: a second message of its event must not send it again. */
  const record = (run: Run, outcome: Outcome): void => {
    if (run.isSafe) outcome.delivery.eventIn = undefined;
    recorder.record(outcome, (refusal) => {
      run.isSafe ||= refusal === undefined;
      tellOnce(run, refusal);
      if (run.state !== "in flight") {
        forgetRun(run);
      }
    });
  };

  /** Nothing is written twice: the row of a handed-over delivery is updated by its outcome, if one still comes. */
  const handOver = (run: Run, nextAttemptAt: number): void => {
    const { subscription, orderingKey } = run.task;
    run.handedOver = true;
    const outcome = scheduled(run.task, orderingKey === null ? nextAttemptAt : Number.POSITIVE_INFINITY);
    // Its lane could not begin it now, whether it has it already or in a moment.
    const isHeldUp = subscription.status !== "ACTIVE" || !endpoints.mayStart(endpoints.of(subscription.webhookId));
    if (isHeldUp && orderingKey === null) outcome.canWait = true;
    record(run, outcome);
  };

  const send = async (run: Run, endpoint: Endpoint): Promise<void> => {
    run.state = "in flight";
    endpoints.start(endpoint);
    const slot = slots.begin();
    run.sentAt = slot.begunAt;
    let outcome: Outcome | undefined;
    try {
      outcome = await makeAttempt(run.task);
      run.state = "attempted";
      record(run, outcome);
    } catch (error) {
      run.state = "attempted";
      tellOnce(run, error);
      forgetRun(run);
    }
    endpoints.finish(endpoint, outcome?.attempt, "fast path");
    slots.end(slot);
  };

  /** Everything that waits for the webhook goes to its lane. */
  const handOverQueue = (queue: Queue): void => {
    const at = now();
    for (const run of queue.runs.splice(0)) {
      room.leave(queue.organizationId);
      handOver(run, at);
    }
    forget(queue);
  };

  const forget = ({ endpoint }: Queue): void => {
    queues.delete(endpoint.webhookId);
    endpoint.waiting["fast path"] = undefined;
  };

  const openQueue = (organizationId: string, endpoint: Endpoint): Queue => {
    const queue: Queue = {
      organizationId,
      endpoint,
      runs: [],
      beginNext() {
        const run =
          endpoint.breaker.state === "closed" && endpoints.mayStart(endpoint) ? queue.runs.shift() : undefined;
        if (run === undefined) {
          return false;
        }
        room.leave(organizationId);
        void send(run, endpoint);
        if (queue.runs.length === 0) {
          forget(queue);
          return false;
        }
        return endpoints.mayStart(endpoint);
      },
    };
    endpoint.waiting["fast path"] = () => sendWaiting(queue);
    queues.set(endpoint.webhookId, queue);
    return queue;
  };

  const sendWaiting = (queue: Queue): void => {
    if (queue.endpoint.breaker.state !== "closed") {
      handOverQueue(queue);
      return;
    }
    while (queue.runs.length > 0 && endpoints.mayStart(queue.endpoint)) {
      if (!slots.isFree()) {
        slots.wait(queue);
        return;
      }
      queue.beginNext();
    }
  };

  const mayWait = (organizationId: string, { latencyMs, limit }: Endpoint, ahead: number): boolean =>
    ((ahead + 1) * latencyMs) / limit.value < budgetMs && room.hasPlace(organizationId);

  /** What takes too long here goes to its lane, and with it whatever waits for the same receiver. */
  const giveUp = (run: Run): void => {
    const { webhookId, policy } = run.task.subscription;
    const endpoint = endpoints.of(webhookId);
    const at = now();
    const queue = queues.get(webhookId);
    if (run.state === "in flight") {
      // The lane leaves it alone for as long as the attempt may still be under way.
      handOver(run, at + policy.timeoutMs + inFlightMarginMs);
      run.isLate = true;
      lateBytes += run.task.event.bytes;
      endpoints.slowDown(endpoint, run.sentAt, at + options.parkMs);
    } else {
      endpoint.parkedUntil = at + options.parkMs;
    }
    if (queue !== undefined) {
      handOverQueue(queue);
    }
  };

  const sweep = (patienceMs: number): void => {
    const oldest = now() - patienceMs;
    for (const run of underWay.values()) {
      if (run.begunAt > oldest) {
        return;
      }
      if (!run.handedOver && run.state !== "attempted") {
        giveUp(run);
      }
    }
  };

  const sweeper = setInterval(() => {
    slots.sweep();
    sweep(budgetMs);
  }, sweepIntervalMs);
  sweeper.unref();

  /** Whether the delivery may be tried from memory, now or in a moment. */
  const isForMemory = ({ subscription, orderingKey, event }: AttemptTask, endpoint: Endpoint, at: number): boolean =>
    !draining &&
    (lateBytes < options.maxLateBytes || event.bytes <= smallBytes) &&
    subscription.status === "ACTIVE" &&
    subscription.rateLimit === null &&
    orderingKey === null &&
    endpoint.breaker.state === "closed" &&
    endpoint.parkedUntil <= at &&
    endpoint.latencyMs < budgetMs &&
    !(endpoint.limit.value < 2 && slots.hasManySlow());

  return {
    hasRoom: memory.hasPlace,
    deliver(task, onRecorded) {
      const begunAt = now();
      const run: Run = {
        task,
        begunAt,
        sentAt: 0,
        state: "waiting",
        handedOver: false,
        isLate: false,
        isSafe: false,
        onRecorded,
      };
      const { webhookId, organizationId } = task.subscription;
      underWay.set(task.deliveryId, run);
      memory.enter(organizationId);
      const endpoint = endpoints.of(webhookId);
      if (!isForMemory(task, endpoint, begunAt)) {
        handOver(run, begunAt);
        return;
      }
      const queue = queues.get(webhookId);
      if (queue === undefined && endpoints.mayStart(endpoint) && slots.isFree()) {
        void send(run, endpoint);
      } else if (mayWait(organizationId, endpoint, queue?.runs.length ?? 0)) {
        room.enter(organizationId);
        const waiting = queue ?? openQueue(organizationId, endpoint);
        waiting.runs.push(run);
        sendWaiting(waiting);
      } else {
        handOver(run, begunAt);
      }
    },
    unpark(webhookId) {
      endpoints.of(webhookId).parkedUntil = 0;
    },
    isUnderWay: (deliveryId) => underWay.has(deliveryId),
    waiting: () => room.size(),
    async drain(graceMs) {
      draining = true;
      const deadline = now() + graceMs;
      while (underWay.size > 0 && now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, drainPollMs));
      }
      clearInterval(sweeper);
      sweep(0);
    },
  };
}

/** What waits for one webhook. */
interface Queue extends RequestSource {
  endpoint: Endpoint;
  runs: Run[];
}

interface Run {
  task: AttemptTask;
  begunAt: number;
  /** When its request began, in milliseconds since the epoch. */
  sentAt: number;
  state: "waiting" | "in flight" | "attempted";
  handedOver: boolean;
  /** It was handed over while its request was under way. */
  isLate: boolean;
  /** Something of it is recorded, and its event with it. */
  isSafe: boolean;
  /** Undefined when it was called. */
  onRecorded: ((failure?: unknown) => void) | undefined;
}

/** What is recorded of a delivery that was handed over before, such as its late outcome, counts for no other delivery of its event. */
function tellOnce(run: Run, failure: unknown): void {
  const tell = run.onRecorded;
  run.onRecorded = undefined;
  tell?.(failure);
}

/** As many as there are places for slow requests may be in memory at any time. */
const smallBytes = 8 * 1024;
const sweepIntervalMs = 100;
const drainPollMs = 10;
/** What an attempt may take beyond its timeout, for its outcome to be recorded. */
const inFlightMarginMs = 5_000;
