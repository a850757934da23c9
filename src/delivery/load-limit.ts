import { eventLoopUtilization } from "./utilization.ts";

export interface LoadLimitOptions {
  most: number;
  /** What a process gets along with that is busy all the time. */
  whenBusy: number;
  /** In what share of the time since the last call the process was at work: 0 to 1. */
  utilization?: () => number;
  /** Milliseconds on any clock that does not go back. */
  now?: () => number;
}

/**
 * How many messages may be unacknowledged at the moment, where so many are left in the broker. A process that has time left waits for its receivers: the
 * more it sends at once, the more it delivers. One that is busy all the time, and has far more before it than it can take, delivers nothing more for having
 * more in work: they wait in memory instead of in the broker, and each collection of garbage copies them. So the limit goes down by a tenth then, and up
 * again by a twentieth of the whole. One that is only behind for a moment is behind for longer where it must ask again for every few: it takes all there is.
 */
export function createLoadLimit(options: LoadLimitOptions): (waiting: () => number) => number {
  const { most, whenBusy, utilization = eventLoopUtilization(), now = () => performance.now() } = options;
  const least = Math.min(whenBusy, most);
  let limit = most;
  let lookedAt = now();
  return (waiting) => {
    if (now() - lookedAt < lookMs) {
      return limit;
    }
    lookedAt = now();
    const load = utilization();
    const isFarBehind = waiting() > most;
    if (load > busyLoad && isFarBehind) {
      limit = Math.max(least, Math.floor(limit * 0.9));
    } else if (load < relaxedLoad || !isFarBehind) {
      limit = Math.min(most, Math.ceil(limit + most / 20));
    }
    return limit;
  };
}

/** Some turns of a busy event loop, and some collections of garbage. */
const lookMs = 100;
const busyLoad = 0.9;
const relaxedLoad = 0.8;
