import { setTimeout as delay } from "node:timers/promises";
import { deliveryIds } from "../domain/ids.ts";
import { outgoingEvent } from "../domain/outgoing-event.ts";
import type { FastPath } from "./fast-path.ts";
import type { OrganizationSubscriptions } from "./organization-subscriptions.ts";
import type { Pacer } from "./pacer.ts";
import type { ReceivedEvent } from "./receive-events.ts";
import { isActiveAt, type Subscription, wantsProject } from "./subscription.ts";

/** What is known of an event's deliveries before they are started. */
export interface Standing {
  /** Whole milliseconds since the epoch. */
  receivedAt: number;
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
  /** All are recorded. */
  | { kind: "recorded" }
  /** Some are under way by another message of the event. */
  | { kind: "elsewhere" }
  | { kind: "failed"; error: unknown };

/**
 * Starts the deliveries that are not recorded yet, as memory has room for them. `onEnd` is called once, when those that were started are recorded: an event may have very
 * many, so they are counted, and nothing is kept for each.
 */
export async function startDeliveries(
  fastPath: FastPath,
  { record, sequence }: ReceivedEvent,
  { organization, standing, pacer }: { organization: OrganizationSubscriptions; standing: Standing; pacer: Pacer },
  onEnd: (started: Started) => void,
): Promise<void> {
  const { receivedAt, before } = standing;
  const wanting = organization.match(record.type);
  if (wanting.length === 0) {
    onEnd({ kind: "recorded" });
    return;
  }
  const event = outgoingEvent(record);
  const deliveryIdOf = deliveryIds(record.id, receivedAt);
  const count = createCount(onEnd);
  for (const subscription of wanting) {
    if (wantsProject(subscription, record.projectId) && isInTime(subscription, standing)) {
      const deliveryId = deliveryIdOf(subscription.webhookId);
      if (before?.recorded.has(deliveryId)) {
        continue;
      }
      const isElsewhere = before?.isSettling || fastPath.isUnderWay(deliveryId);
      if (isElsewhere || (isFull(fastPath, subscription) && !(await getsRoom(fastPath, subscription, deliveryId)))) {
        count.isElsewhere = true;
        continue;
      }
      const orderingKey = subscription.ordering === "BY_KEY" ? record.orderingKey : null;
      const identity = { deliveryId, event, subscription, createdAt: receivedAt, sequence, orderingKey };
      count.open += 1;
      fastPath.deliver({ ...identity, attemptCount: 0, manualRetry: null }, count.recorded);
    }
    if (pacer.isDue()) {
      await pacer.pause();
    }
  }
  count.recorded();
}

/** Waits for room in memory: the database is behind then. False where another message of the event has started the delivery meanwhile. */
async function getsRoom(fastPath: FastPath, subscription: Subscription, deliveryId: string): Promise<boolean> {
  do {
    await delay(roomPollMs);
    if (fastPath.isUnderWay(deliveryId)) {
      return false;
    }
  } while (isFull(fastPath, subscription));
  return true;
}

function isFull(fastPath: FastPath, { organizationId }: Subscription): boolean {
  return !fastPath.hasRoom(organizationId);
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
  recorded: (failure?: unknown) => void;
}

function createCount(onEnd: (started: Started) => void): Count {
  let failure: { error: unknown } | undefined;
  const count: Count = {
    open: 1,
    isElsewhere: false,
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
      } else {
        onEnd({ kind: count.isElsewhere ? "elsewhere" : "recorded" });
      }
    },
  };
  return count;
}
