import { eventLoopUtilization } from "./utilization.ts";

/**
 * How fast the backlog is worked off: deliveries that are late already give way to what has just come while the process has little time left. One that
 * has time left, or nothing else to send, works it off as fast as receivers take it.
 */
export interface BacklogPace {
  /** Whether a delivery of the backlog may begin now. */
  mayBegin(): boolean;
  /** A delivery of the backlog begins. */
  began(): void;
  /** A delivery that has just come begins. */
  freshBegan(): void;
  /** So many deliveries were left to lanes: that is what the backlog grows by. */
  grew(deliveries: number): void;
}

export interface BacklogPaceOptions {
  /** In what share of the time since the last call the process was at work: 0 to 1. */
  utilization?: () => number;
  /** Milliseconds on any clock that does not go back. */
  now?: () => number;
}

/**
 * Additive increase would take minutes from a few deliveries a second to thousands: the pace goes down by a fifth ten times a second while the process is
 * busy, and up by a tenth while it is not. It never goes below twice of what the backlog grows by, so that it shrinks whatever else there is to do, nor
 * below a small share of what is sent besides.
 */
export function createBacklogPace(options: BacklogPaceOptions = {}): BacklogPace {
  const { utilization = eventLoopUtilization(), now = () => performance.now() } = options;
  /** Deliveries of the backlog a second. */
  let pace = Number.POSITIVE_INFINITY;
  /** How many may begin before the next look. */
  let allowed = 0;
  let begun = 0;
  let fresh = 0;
  let growth = 0;
  let growthPerSecond = 0;
  let lookedAt = now();

  const look = (): void => {
    const seconds = (now() - lookedAt) / 1000;
    if (seconds < lookSeconds) return;
    lookedAt = now();
    growthPerSecond += (growth / seconds - growthPerSecond) * Math.min(1, seconds / smoothingSeconds);
    const least = Math.max(leastPerSecond, (fresh / seconds) * leastShare, growthPerSecond * 2);
    pace = Math.max(
      least,
      nextPace(pace, { load: utilization(), begunPerSecond: begun / seconds, isAnyFresh: fresh > 0 }),
    );
    allowed = Math.min(allowed, 1) + pace * Math.min(seconds, mostSeconds);
    begun = 0;
    fresh = 0;
    growth = 0;
  };

  return {
    mayBegin() {
      look();
      return allowed >= 1;
    },
    began() {
      allowed -= 1;
      begun += 1;
    },
    freshBegan() {
      fresh += 1;
    },
    grew(deliveries) {
      growth += deliveries;
    },
  };
}

interface Moment {
  load: number;
  begunPerSecond: number;
  isAnyFresh: boolean;
}

function nextPace(pace: number, { load, begunPerSecond, isAnyFresh }: Moment): number {
  if (load > busyLoad && isAnyFresh) {
    return Math.min(pace, begunPerSecond) * 0.8;
  }
  if (load < relaxedLoad || !isAnyFresh) {
    return pace > mostPerSecond ? Number.POSITIVE_INFINITY : pace * 1.1;
  }
  return pace;
}

const lookSeconds = 0.1;
/** After a time without a look, no more begins at once than in a few. */
const mostSeconds = 0.3;
const smoothingSeconds = 2;
/** Between the two it stays as it is. Far below what a process can do: what comes in a moment of more work has to find time. */
const busyLoad = 0.75;
const relaxedLoad = 0.65;
const leastPerSecond = 50;
const leastShare = 1 / 32;
/** Faster than a process is. */
const mostPerSecond = 20_000;
