export interface FreeRoom {
  /** How many more messages may be asked for now; 0 where it is not worth it yet. */
  take(free: number): number;
}

/**
 * Keeps a consumer that is full from asking for one message after every acknowledgement: once there is no room at all, it waits until there is
 * room for `least`.
 */
export function createFreeRoom(least: number): FreeRoom {
  let full = false;
  return {
    take(free) {
      if (free <= 0) {
        full = true;
      } else if (free >= least) {
        full = false;
      }
      return full ? 0 : free;
    },
  };
}

/** An eighth of the whole window, but no more than is asked for at once. */
export function leastRoom(maxUnacknowledged: number, atOnce: number): number {
  return Math.max(1, Math.min(atOnce, Math.floor(maxUnacknowledged / 8)));
}
