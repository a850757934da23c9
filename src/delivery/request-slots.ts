import { createSlotList } from "../domain/slot-list.ts";
import { createFairQueue } from "./fair-queue.ts";

/**
 * How many requests may be under way at once, over all webhooks, with fair turns for what has to wait. A request that takes long moves to a
 * place among the slow ones, so that receivers which hang do not use up what the others need.
 */
export interface RequestSlots {
  /** Whether a request may begin now: there is room, and nobody waits for it. */
  isFree(): boolean;
  /** A request begins: who asked `isFree`, or whose turn it is. */
  begin(): Slot;
  end(slot: Slot): void;
  /** Joins those who wait for room. */
  wait(source: RequestSource): void;
  /** How many wait. */
  waiting(): number;
  /** Whether there is no place left for slow requests: those that would probably be slow had better not begin. */
  hasManySlow(): boolean;
  /** Moves what has become slow, and gives turns to those who wait. To be called a few times a second. */
  sweep(): void;
}

/** One webhook with requests to begin. */
export interface RequestSource {
  organizationId: string;
  /** Begins one request, if it still has one, and tells whether it would begin another. */
  beginNext(): boolean;
}

/** The place of one request. */
export interface Slot {
  begunAt: number;
  isSlow: boolean;
  /** Among those that are not slow. */
  place: number;
}

export interface RequestSlotsOptions {
  max: number;
  /** Beyond it slow requests stay among the others. */
  maxSlow: number;
  /** From when on a request is slow. */
  slowMs: number;
  now: () => number;
  /** Whether nothing may begin at the moment, such as where what came of it could not be recorded. */
  isHeld: () => boolean;
  onBegin?: () => void;
}

export function createRequestSlots({ max, maxSlow, slowMs, now, isHeld, onBegin }: RequestSlotsOptions): RequestSlots {
  const waiting = createFairQueue<RequestSource>();
  /** In the order of their beginning, without the slow ones. */
  const underWay = createSlotList<Slot>();
  let slow = 0;

  const giveTurns = (): void => {
    while (underWay.size < max && !isHeld()) {
      const source = waiting.next();
      if (source === undefined) {
        return;
      }
      if (source.beginNext()) {
        waiting.add(source.organizationId, source);
      }
    }
  };

  return {
    isFree: () => underWay.size < max && waiting.isEmpty && !isHeld(),
    begin() {
      const slot: Slot = { begunAt: now(), isSlow: false, place: underWay.nextPlace };
      underWay.add(slot);
      onBegin?.();
      return slot;
    },
    end(slot) {
      if (slot.isSlow) {
        slow -= 1;
      } else {
        underWay.remove(slot.place);
        giveTurns();
      }
    },
    wait: (source) => waiting.add(source.organizationId, source),
    waiting: () => waiting.size,
    hasManySlow: () => slow >= maxSlow,
    sweep() {
      const before = now() - slowMs;
      for (const slot of underWay.values()) {
        if (slot.begunAt > before || slow >= maxSlow) {
          break;
        }
        slot.isSlow = true;
        slow += 1;
        underWay.remove(slot.place);
      }
      giveTurns();
    },
  };
}
