import { setTimeout as delay } from "node:timers/promises";
import { deliveryIds } from "../domain/ids.ts";
import { outgoingEvent } from "../domain/outgoing-event.ts";
import type { Incarnation } from "../store/sql/incarnation.ts";
import type { FastPath } from "./fast-path.ts";
import type { OrganizationSubscriptions } from "./organization-subscriptions.ts";
import type { Pacer } from "./pacer.ts";
import type { ReceivedEvent } from "./receive-events.ts";
import { isActiveAt, type Subscription, wantsProject } from "./subscription.ts";

/** What is known of an event's deliveries before they are started. */
export interface Standing {
  /** Whole milliseconds since the epoch. */
  receivedAt: number;
  /** The incarnation of the database with which the event may be lost; undefined where it outlives a crash. */
  eventIn: Incarnation | undefined;
  /** Of an event that came before; undefined for a new one, of which nothing is recorded. */
  before: EarlierDeliveries | undefined;
}

export interface EarlierDeliveries {
  /** The ids of the deliveries that are recorded. */
  recorded: ReadonlySet<string>;
  /** The event came first a moment ago, by another message: whoever has that one may have the others under way, in another process. */
  isSettling: boolean;
}

/** What became of an event's deliveries. */
export type Started =
  /** All are recorded, and with them the event. */
  | { kind: "recorded" }
  /** There was none to start. */
  | { kind: "none" }
  /** Some are under way by another message of the event. */
  | { kind: "elsewhere" }
  | { kind: "failed"; error: unknown };

/**
 * Starts deliveries of an event for as long as memory has room. Resolves with true when all are started, else with false: to be called again, when there
 * is room for the event's organization.
 */
export type StartMore = () => Promise<boolean>;

/**
 * Makes the start of those of an event's deliveries that are not recorded yet. `onEnd` is called once, when all are started and recorded: an event
 * may have very many, so they are counted, and nothing is kept for each.
 */
export function startDeliveries(
  fastPath: FastPath,
  { record, sequence }: ReceivedEvent,
  { organization, standing, pacer }: { organization: OrganizationSubscriptions; standing: Standing; pacer: Pacer },
  onEnd: (started: Started) => void,
): StartMore {
  const wanting = organization.match(record.type);
  if (wanting.length === 0) {
    onEnd({ kind: "none" });
    return async () => true;
  }
  const { receivedAt, eventIn, before } = standing;
  const event = outgoingEvent(record);
  const deliveryIdOf = deliveryIds(record.id, receivedAt);
  const count = createCount(onEnd);

  /** False where memory has no room for it. */
  const startOne = (subscription: Subscription): boolean => {
    if (!wantsProject(subscription, record.projectId) || !isInTime(subscription, standing)) {
      return true;
    }
    const deliveryId = deliveryIdOf(subscription.webhookId);
    const orderingKey = subscription.ordering === "BY_KEY" ? record.orderingKey : null;
    // One that keeps an order is written again: this message may stand before the one that it was recorded from.
    if (orderingKey === null && before?.recorded.has(deliveryId)) {
      return true;
    }
    if (before?.isSettling || fastPath.isUnderWay(deliveryId)) {
      count.isElsewhere = true;
      return true;
    }
    if (!fastPath.hasRoom(subscription.organizationId)) {
      return false;
    }
    count.open += 1;
    count.isAny = true;
    fastPath.deliver(
      {
        deliveryId,
        event,
        subscription,
        attemptCount: 0,
        manualRetry: null,
        createdAt: receivedAt,
        sequence,
        orderingKey,
        eventIn,
      },
      count.recorded,
    );
    return true;
  };

  const left = wanting.values();
  let next = left.next();
  return async () => {
    for (; !next.done; next = left.next()) {
      if (!startOne(next.value)) {
        return false;
      }
      if (pacer.isDue()) {
        await pacer.pause();
      }
    }
    count.recorded();
    return true;
  };
}

/** Deliveries of an event that memory had no room for. */
export interface CrowdedDeliveries {
  organizationId: string;
  startMore: StartMore;
}

/** Starts them all, as memory gets room: the database is behind then. Whichever organization gets some goes on, and waits for no other. */
export async function startCrowded(fastPath: FastPath, crowded: readonly CrowdedDeliveries[]): Promise<void> {
  for (let waiting = crowded; waiting.length > 0; ) {
    await delay(roomPollMs);
    const left: CrowdedDeliveries[] = [];
    for (const each of waiting) {
      if (!fastPath.hasRoom(each.organizationId) || !(await each.startMore())) {
        left.push(each);
      }
    }
    waiting = left;
  }
}

const roomPollMs = 10;

/** Whoever is there when an event comes gets it; of one that came before, who was there then. */
function isInTime(subscription: Subscription, { receivedAt, before }: Standing): boolean {
  return before === undefined || isActiveAt(subscription, receivedAt);
}

interface Count {
  /** Deliveries that are not recorded, and one for as long as others may be added. */
  open: number;
  isElsewhere: boolean;
  /** Whether one was started. */
  isAny: boolean;
  recorded: (failure?: unknown) => void;
}

function createCount(onEnd: (started: Started) => void): Count {
  let failure: { error: unknown } | undefined;
  const count: Count = {
    open: 1,
    isElsewhere: false,
    isAny: false,
    recorded(refusal) {
      if (refusal !== undefined) {
        failure ??= { error: refusal };
      }
      count.open -= 1;
      if (count.open > 0) {
        return;
      }
      if (failure !== undefined) {
        onEnd({ kind: "failed", error: failure.error });
      } else if (count.isElsewhere) {
        onEnd({ kind: "elsewhere" });
      } else {
        onEnd({ kind: count.isAny ? "recorded" : "none" });
      }
    },
  };
  return count;
}
