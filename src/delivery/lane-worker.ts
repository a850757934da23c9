import { type ClaimedLane, cancelWaiting, claimLanes, releaseLane, renewLanes } from "../store/sql/lanes.ts";
import type { Sql } from "../store/sql.ts";
import { createLaneDrain, type DrainLaneOptions, type LaneDrain } from "./drain-lane.ts";
import { sharedBreaker } from "./endpoints.ts";
import { createWaker } from "./waker.ts";

/**
 * Claims lanes that are due and works on them, each by one worker at a time, whichever process that is in. A lane whose process dies is
 * claimed by another when its lease expires.
 */
export interface LaneWorker {
  start(): void;
  /** Lanes may be due now. */
  wake(): void;
  /** A delivery of the webhook was scheduled for the time (milliseconds since the epoch) in this process. */
  scheduled(webhookId: string, dueAt: number): void;
  /** Ordered deliveries of these webhooks were recorded in this process. */
  lookAtTurns(webhookIds: Iterable<string>): void;
  /** A delivery of this webhook was cancelled: what was read of its lane before is read again. */
  deliveryCancelled(webhookId: string): void;
  /** Webhooks of the organization, or of any (undefined), were changed: what is held is sent as they are now. */
  webhooksChanged(organizationId: string | undefined): void;
  /** Claims no more, lets attempts under way finish within the time, and gives the lanes back. */
  stop(graceMs: number): Promise<void>;
}

export interface LaneWorkerOptions extends DrainLaneOptions {
  /** For claims and leases, which do not wait behind the work on the lanes. */
  leaseSql: Sql;
  /** A UUID of this process. */
  owner: string;
  /** Lanes at a time that get on. Those in which every request hangs do not count, up to a few times as many. */
  maxLanes: number;
  leaseMs: number;
  /** Milliseconds on a clock that is never set. */
  elapsed: () => number;
  /** The webhook has nothing scheduled any more. */
  onEmpty: (webhookId: string) => void;
  onHeld: (lanes: number) => void;
  onFailure: (error: unknown) => void;
}

export function createLaneWorker(options: LaneWorkerOptions): LaneWorker {
  const { sql, owner, leaseMs, now, elapsed } = options;
  const held = new Map<string, Held>();
  const waker = createWaker(now);
  let stopping = false;
  /** Whether there may be lanes that are due, for which there is no room. */
  let isFull = false;
  let running: Promise<void> = Promise.resolve();

  const work = async (lane: ClaimedLane, state: Held): Promise<void> => {
    let end: LaneEnd = { hold: false, notBefore: 0 };
    options.endpoints.adopt(options.endpoints.of(lane.webhookId), lane);
    try {
      end = await workOn(options, lane, state, () => !stopping && elapsed() < state.leaseUntil);
    } catch (error) {
      options.onFailure(error);
      // The lane is due still: given back at once, it would be claimed at once, and fail again.
      await new Promise((resolve) => setTimeout(resolve, failurePauseMs));
    }
    try {
      const { breaker, rateTime } = options.endpoints.of(lane.webhookId);
      const { webhookId, fence } = lane;
      const dueAt = await releaseLane(sql, {
        webhookId,
        owner,
        fence,
        ...end,
        breaker: sharedBreaker(breaker),
        rateTime,
      });
      if (dueAt === undefined) {
        options.onEmpty(webhookId);
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
      // It may have been given back before what was scheduled meanwhile was there.
      waker.wake(state.scheduledAt);
      options.onHeld(held.size);
      if (isFull) {
        waker.wake();
      }
    }
  };

  const hold = (lane: ClaimedLane, leaseUntil: number): void => {
    const organizationId = lane.organizationId ?? lane.webhookId;
    const state: Held = {
      organizationId,
      leaseUntil,
      progressedAt: now(),
      scheduledAt: Number.POSITIVE_INFINITY,
      drain: undefined,
      done: Promise.resolve(),
    };
    const before = held.get(lane.webhookId);
    held.set(lane.webhookId, state);
    if (before === undefined) {
      state.done = work(lane, state);
    } else {
      // The lease ran out while the database was away, and nobody else was there: what is under way here ends first.
      lose(before);
      state.done = before.done.then(() => work(lane, state));
    }
  };

  const claim = async (): Promise<void> => {
    const { limit: room, busyOrganizations } = shareOf([...held.values()], options.maxLanes, now());
    const limit = Math.min(room, maxClaimed);
    isFull = limit <= 0;
    if (isFull) {
      return;
    }
    const askedAt = elapsed();
    const lanes = await claimLanes(options.leaseSql, { owner, now: now(), limit, leaseMs, busyOrganizations });
    for (const lane of lanes) {
      hold(lane, askedAt + leaseMs);
    }
    options.onHeld(held.size);
    isFull = lanes.length === room;
    if (lanes.length === limit && !isFull) {
      waker.wake();
    }
  };

  const loop = async (): Promise<void> => {
    while (!stopping) {
      await claim().catch(options.onFailure);
      // One statement for all that becomes due meanwhile.
      await new Promise((resolve) => setTimeout(resolve, claimIntervalMs));
      await waker.wait(options.pollIntervalMs);
    }
  };

  const renew = async (): Promise<void> => {
    const renewed = [...held];
    if (renewed.length === 0) {
      return;
    }
    const askedAt = elapsed();
    try {
      const kept = await renewLanes(options.leaseSql, {
        owner,
        webhookIds: renewed.map(([webhookId]) => webhookId),
        leaseMs,
      });
      for (const [webhookId, state] of renewed) {
        if (!kept.has(webhookId)) {
          lose(state);
        } else if (state.leaseUntil > 0) {
          state.leaseUntil = askedAt + leaseMs;
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
    wake: () => waker.wake(),
    scheduled(webhookId, dueAt) {
      // Nobody can claim a lane that is held, nor one whose breaker is open: a receiver that hangs would have a claim made in vain for each batch.
      const state = held.get(webhookId);
      if (state !== undefined) {
        state.scheduledAt = Math.min(state.scheduledAt, dueAt);
        return;
      }
      const { openUntil } = sharedBreaker(options.endpoints.of(webhookId).breaker);
      waker.wake(Math.max(dueAt, openUntil ?? 0));
    },
    lookAtTurns(webhookIds) {
      for (const webhookId of webhookIds) {
        held.get(webhookId)?.drain?.lookAtTurns();
      }
    },
    deliveryCancelled: (webhookId) => held.get(webhookId)?.drain?.deliveryCancelled(),
    webhooksChanged(organizationId) {
      for (const state of held.values()) {
        if (organizationId === undefined || organizationId === state.organizationId) {
          state.drain?.look();
        }
      }
    },
    async stop(graceMs) {
      stopping = true;
      waker.wake();
      for (const { drain } of held.values()) {
        drain?.look();
      }
      await running;
      const finished = Promise.all([...held.values()].map(({ done }) => done));
      await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, graceMs).unref())]);
      clearInterval(renewing);
    },
  };
}

const failurePauseMs = 1_000;
const claimIntervalMs = 10;
const maxClaimed = 128;
/** From when on a lane without a request that began or ended counts as one that hangs. */
const hangingMs = 1_000;
/** How many lanes may be held for each that gets on. */
const heldForEach = 4;

interface Held {
  organizationId: string;
  /** When the lease may run out, as `elapsed` counts; negative where it is lost. */
  leaseUntil: number;
  /** When a request began or ended last, in milliseconds since the epoch. */
  progressedAt: number;
  /** The first time for which something was scheduled meanwhile; infinite where nothing was. */
  scheduledAt: number;
  drain: LaneDrain | undefined;
  done: Promise<void>;
}

interface LaneEnd {
  /** Whether the lane is to rest until somebody wakes it. */
  hold: boolean;
  notBefore: number;
}

/** Somebody else may work on the lane. */
function lose(state: Held): void {
  state.leaseUntil = Number.NEGATIVE_INFINITY;
  state.drain?.look();
}

/** How many lanes may be claimed now, and whose only where nobody else has one that is due. */
function shareOf(held: readonly Held[], maxLanes: number, now: number): { limit: number; busyOrganizations: string[] } {
  const byOrganization = new Map<string, number>();
  let active = 0;
  for (const { organizationId, progressedAt } of held) {
    active += now - progressedAt < hangingMs ? 1 : 0;
    byOrganization.set(organizationId, (byOrganization.get(organizationId) ?? 0) + 1);
  }
  const fairShare = maxLanes / (byOrganization.size + 1);
  const busyOrganizations = [...byOrganization].filter(([, lanes]) => lanes >= fairShare).map(([id]) => id);
  return { limit: Math.min(maxLanes - active, maxLanes * heldForEach - held.length), busyOrganizations };
}

/** Does what the webhook's status asks for. */
async function workOn(
  options: LaneWorkerOptions,
  lane: ClaimedLane,
  state: Held,
  mayBegin: () => boolean,
): Promise<LaneEnd> {
  const { webhookId, organizationId, status } = lane;
  const { sql, now } = options;
  if (organizationId === null || status === null) {
    await cancelWaiting(sql, { webhookId, reason: "the webhook was deleted", now: now() });
    return { hold: false, notBefore: 0 };
  }
  switch (status) {
    case "DISABLED":
      await cancelWaiting(sql, { webhookId, reason: "the webhook was disabled", now: now() });
      return { hold: false, notBefore: 0 };
    case "PAUSED":
    case "UNVERIFIED":
      return { hold: true, notBefore: 0 };
    case "ACTIVE": {
      const onProgress = (): void => {
        state.progressedAt = now();
      };
      state.drain = createLaneDrain(options, {
        webhookId,
        organizationId,
        owner: options.owner,
        fence: lane.fence,
        leftAt: lane.leftAt,
        hasOrdered: lane.hasOrdered,
        mayBegin,
        onProgress,
      });
      return { hold: false, notBefore: await state.drain.run() };
    }
  }
}
