import { type ClaimedLane, cancelWaiting, claimLanes, releaseLane, renewLanes } from "../store/sql/lanes.ts";
import type { Sql } from "../store/sql.ts";
import { type DrainLaneOptions, drainLane } from "./drain-lane.ts";

/**
 * Claims lanes that are due and works on them, each by one worker at a time, whichever process that is in. A lane whose process dies is
 * claimed by another when its lease expires.
 */
export interface LaneWorker {
  start(): void;
  /** Something is due at the time (milliseconds since the epoch), or now. */
  wake(dueAt?: number): void;
  /** Claims no more, lets attempts under way finish within the time, and gives the lanes back. */
  stop(graceMs: number): Promise<void>;
}

export interface LaneWorkerOptions extends Omit<DrainLaneOptions, "isStopping"> {
  sql: Sql;
  /** A UUID of this process. */
  owner: string;
  maxLanes: number;
  leaseMs: number;
  /** The webhook has nothing scheduled any more. */
  onEmpty: (webhookId: string) => void;
  onHeld: (lanes: number) => void;
  onFailure: (error: unknown) => void;
}

export function createLaneWorker(options: LaneWorkerOptions): LaneWorker {
  const { sql, owner, leaseMs, now } = options;
  const held = new Map<string, HeldLane>();
  const waker = createWaker(now);
  let stopping = false;
  let running: Promise<void> = Promise.resolve();

  const work = async (lane: ClaimedLane, state: HeldLane): Promise<void> => {
    let hold = false;
    try {
      hold = await workOn(options, lane, () => stopping || state.lost);
    } catch (error) {
      options.onFailure(error);
      // The lane is due still: given back at once, it would be claimed at once, and fail again.
      await new Promise((resolve) => setTimeout(resolve, failurePauseMs));
    }
    try {
      const dueAt = await releaseLane(sql, { webhookId: lane.webhookId, owner, fence: lane.fence, hold });
      if (dueAt === undefined) {
        options.onEmpty(lane.webhookId);
      } else {
        waker.wake(dueAt);
      }
    } catch (error) {
      // The lease runs out by itself.
      options.onFailure(error);
    } finally {
      if (held.get(lane.webhookId) === state) {
        held.delete(lane.webhookId);
      }
      options.onHeld(held.size);
      waker.wake();
    }
  };

  /** Returns whether there may be more. */
  const claim = async (): Promise<boolean> => {
    const limit = options.maxLanes - held.size;
    if (limit <= 0) {
      return false;
    }
    const lanes = await claimLanes(sql, { owner, now: now(), limit, leaseMs });
    for (const lane of lanes) {
      const state: HeldLane = { lost: false, done: Promise.resolve() };
      const before = held.get(lane.webhookId);
      held.set(lane.webhookId, state);
      if (before === undefined) {
        state.done = work(lane, state);
      } else {
        // The lease ran out while the database was away, and nobody else was there: what is under way here ends first.
        before.lost = true;
        state.done = before.done.then(() => work(lane, state));
      }
    }
    options.onHeld(held.size);
    return lanes.length === limit;
  };

  const loop = async (): Promise<void> => {
    while (!stopping) {
      let more = false;
      try {
        more = await claim();
      } catch (error) {
        options.onFailure(error);
      }
      if (!more) {
        await waker.wait(options.pollIntervalMs);
      }
    }
  };

  const renew = async (): Promise<void> => {
    if (held.size === 0) {
      return;
    }
    const webhookIds = [...held.keys()];
    try {
      const kept = await renewLanes(sql, { owner, webhookIds, leaseMs });
      for (const webhookId of webhookIds) {
        const lane = held.get(webhookId);
        if (lane !== undefined && !kept.has(webhookId)) {
          lane.lost = true;
        }
      }
    } catch (error) {
      options.onFailure(error);
    }
  };
  let renewing: NodeJS.Timeout | undefined;

  return {
    start() {
      renewing = setInterval(() => void renew(), leaseMs / 3);
      running = loop();
    },
    wake: (dueAt) => waker.wake(dueAt),
    async stop(graceMs) {
      stopping = true;
      waker.wake();
      await running;
      const finished = Promise.all([...held.values()].map(({ done }) => done));
      await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
      clearInterval(renewing);
    },
  };
}

const failurePauseMs = 1_000;

interface HeldLane {
  /** The lease was lost: somebody else may work on the lane. */
  lost: boolean;
  done: Promise<void>;
}

/** Does what the webhook's status asks for. Returns whether the lane is to rest until somebody wakes it. */
async function workOn(options: LaneWorkerOptions, lane: ClaimedLane, isStopping: () => boolean): Promise<boolean> {
  const { webhookId, organizationId, status } = lane;
  const { sql, now } = options;
  if (organizationId === null || status === null) {
    await cancelWaiting(sql, { webhookId, reason: "the webhook was deleted", now: now() });
    return false;
  }
  switch (status) {
    case "DISABLED":
      await cancelWaiting(sql, { webhookId, reason: "the webhook was disabled", now: now() });
      return false;
    case "PAUSED":
    case "UNVERIFIED":
      return true;
    case "ACTIVE":
      await drainLane({ ...options, isStopping }, { webhookId, organizationId });
      return false;
  }
}

interface Waker {
  wake(at?: number): void;
  /** Resolves at the next wake, or after the time. */
  wait(maxMs: number): Promise<void>;
}

/** Remembers a wake that comes while nobody waits, and the earliest of the times that were announced. */
function createWaker(now: () => number): Waker {
  let nextAt = Number.POSITIVE_INFINITY;
  let rouse: (() => void) | undefined;
  return {
    wake(at = 0) {
      if (at < nextAt) {
        nextAt = at;
        rouse?.();
      }
    },
    async wait(maxMs) {
      const until = now() + maxMs;
      while (now() < Math.min(until, nextAt)) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, Math.max(1, Math.min(until, nextAt) - now()));
        rouse = resolve;
        await promise;
        clearTimeout(timer);
      }
      rouse = undefined;
      if (nextAt <= now()) {
        nextAt = Number.POSITIVE_INFINITY;
      }
    },
  };
}
