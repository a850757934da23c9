import { type AttemptTask, type MakeAttempt, scheduled } from "./make-attempt.ts";
import type { Recorder } from "./recorder.ts";

/**
 * Sends to healthy webhooks at once, from memory, with no row written before. A delivery that cannot start, or does not finish, within
 * the budget is handed to its webhook's lane, so that nothing waits for a slow receiver: neither the event's acknowledgement, nor the
 * deliveries of others.
 */
export interface FastPath {
  /** Resolves when the delivery is recorded: finished, or scheduled in its lane. */
  deliver(task: AttemptTask): Promise<void>;
  /** The webhook's lane has run empty: its receiver gets requests at once again. */
  unpark(webhookId: string): void;
  /** Whether a delivery is under way here: to start it once more would send it twice. */
  isUnderWay(deliveryId: string): boolean;
  /** Lets what is under way finish within the time, and hands the rest to the lanes. */
  drain(graceMs: number): Promise<void>;
}

export interface FastPathOptions {
  makeAttempt: MakeAttempt;
  recorder: Recorder;
  now: () => number;
  /** Requests at once to one webhook. */
  maxPerWebhook: number;
  /** Requests at once in all. */
  maxInFlight: number;
  /** How long an event waits for a receiver before the delivery is handed to its lane. */
  budgetMs: number;
  /** How long a webhook that was too slow is served from its lane before it is tried here again. */
  parkMs: number;
}

export function createFastPath(options: FastPathOptions): FastPath {
  const { makeAttempt, recorder, now } = options;
  const gates = new Map<string, Gate>();
  /** In the order of their beginning: the oldest first. */
  const underWay = new Map<string, Run>();
  /** Gates with something to send that the limit over all webhooks holds back. */
  const starved = new Set<Gate>();
  let inFlight = 0;
  let draining = false;

  const gateOf = (webhookId: string): Gate => {
    let gate = gates.get(webhookId);
    if (gate === undefined) {
      gate = { inFlight: 0, parkedUntil: 0, queue: [] };
      gates.set(webhookId, gate);
    }
    return gate;
  };

  const forgetIfIdle = (webhookId: string, gate: Gate): void => {
    if (gate.inFlight === 0 && gate.queue.length === 0 && gate.parkedUntil <= now()) {
      gates.delete(webhookId);
    }
  };

  /** Until a delivery is recorded it counts as under way: a second message of its event must not send it again. */
  const settle = (run: Run, recorded: Promise<void>): void => {
    const done = () => run.state !== "in flight" && underWay.delete(run.task.deliveryId);
    recorded.then(run.resolve, run.reject).finally(done);
  };

  /** Nothing is written twice: the row of a handed-over delivery is updated by its outcome, if one still comes. */
  const handOver = (run: Run, nextAttemptAt: number): void => {
    run.handedOver = true;
    settle(run, recorder.record(scheduled(run.task, nextAttemptAt)));
  };

  const start = (run: Run, gate: Gate): void => {
    run.state = "in flight";
    gate.inFlight += 1;
    inFlight += 1;
    makeAttempt(run.task).then(
      (outcome) => finish(run, gate, recorder.record(outcome)),
      (error) => finish(run, gate, Promise.reject(error)),
    );
  };

  const finish = (run: Run, gate: Gate, recorded: Promise<void>): void => {
    run.state = "attempted";
    settle(run, recorded);
    gate.inFlight -= 1;
    inFlight -= 1;
    startNext(gate);
    for (const other of starved) {
      if (inFlight >= options.maxInFlight) {
        break;
      }
      starved.delete(other);
      startNext(other);
    }
    forgetIfIdle(run.task.subscription.webhookId, gate);
  };

  const startNext = (gate: Gate): void => {
    while (gate.queue.length > 0 && gate.inFlight < options.maxPerWebhook) {
      if (inFlight >= options.maxInFlight) {
        starved.add(gate);
        return;
      }
      const run = gate.queue.shift();
      if (run !== undefined && !run.handedOver) {
        start(run, gate);
      }
    }
  };

  const park = (run: Run, gate: Gate): void => {
    gate.parkedUntil = now() + options.parkMs;
    if (run.state === "queued") {
      handOver(run, now());
    } else {
      // The lane leaves it alone for as long as the attempt may still be under way.
      handOver(run, now() + run.task.subscription.policy.timeoutMs + inFlightMarginMs);
    }
  };

  const sweep = (budgetMs: number): void => {
    const oldest = now() - budgetMs;
    for (const run of underWay.values()) {
      if (run.begunAt > oldest) {
        return;
      }
      if (!run.handedOver && run.state !== "attempted") {
        park(run, gateOf(run.task.subscription.webhookId));
      }
    }
  };

  const sweeper = setInterval(() => sweep(options.budgetMs), sweepIntervalMs);
  sweeper.unref();

  return {
    deliver(task) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const run: Run = { task, begunAt: now(), state: "queued", handedOver: false, resolve, reject };
      const { webhookId, status } = task.subscription;
      const gate = gateOf(webhookId);
      underWay.set(task.deliveryId, run);
      if (
        draining ||
        status !== "ACTIVE" ||
        gate.parkedUntil > now() ||
        gate.queue.length >= options.maxPerWebhook * 4
      ) {
        handOver(run, now());
        forgetIfIdle(webhookId, gate);
        return promise;
      }
      gate.queue.push(run);
      startNext(gate);
      return promise;
    },
    unpark(webhookId) {
      const gate = gates.get(webhookId);
      if (gate !== undefined) {
        gate.parkedUntil = 0;
        forgetIfIdle(webhookId, gate);
      }
    },
    isUnderWay: (deliveryId) => underWay.has(deliveryId),
    async drain(graceMs) {
      draining = true;
      clearInterval(sweeper);
      const deadline = now() + graceMs;
      while (underWay.size > 0 && now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, drainPollMs));
      }
      sweep(0);
    },
  };
}

interface Gate {
  inFlight: number;
  /** Until then everything new goes to the lane. In milliseconds since the epoch. */
  parkedUntil: number;
  queue: Run[];
}

interface Run {
  task: AttemptTask;
  begunAt: number;
  state: "queued" | "in flight" | "attempted";
  handedOver: boolean;
  resolve: () => void;
  reject: (error: unknown) => void;
}

const sweepIntervalMs = 100;
const drainPollMs = 10;
/** What an attempt may take beyond its timeout, for its outcome to be recorded. */
const inFlightMarginMs = 5_000;
