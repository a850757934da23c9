import { isOperationalEventType } from "./operational-event.ts";

/** Who wants which event types: exact names, `invoice.*`, `*`. */
export interface TypeSubscriber {
  eventTypes: readonly string[];
}

/**
 * Finds the subscribers that want an event type, each once, whichever and however many of its patterns match. Exact names cost one lookup,
 * prefixes one for each part of the type, so that the cost of a match does not grow with the number of subscribers that do not match.
 */
export function createTypeIndex<Subscriber extends TypeSubscriber>(
  subscribers: Iterable<Subscriber>,
): (eventType: string) => readonly Subscriber[] {
  const byPattern = new Map<string, Subscriber[]>();
  for (const subscriber of subscribers) {
    for (const pattern of new Set(subscriber.eventTypes)) {
      const listed = byPattern.get(pattern);
      if (listed === undefined) {
        byPattern.set(pattern, [subscriber]);
      } else {
        listed.push(subscriber);
      }
    }
  }
  return (eventType) => {
    const found = patternsOf(eventType).flatMap((pattern) => {
      const listed = byPattern.get(pattern);
      return listed === undefined ? [] : [listed];
    });
    return found.length > 1 ? [...new Set(found.flat())] : (found[0] ?? []);
  };
}

/** The same, looked for among a few, without the memory of an index. */
export function matchTypes<Subscriber extends TypeSubscriber>(
  subscribers: readonly Subscriber[],
  eventType: string,
): readonly Subscriber[] {
  const patterns = patternsOf(eventType);
  return subscribers.filter(({ eventTypes }) => eventTypes.some((pattern) => patterns.includes(pattern)));
}

/**
 * Every pattern that matches the type: `invoice.item.paid` is matched by itself, `invoice.item.*`, `invoice.*` and `*`. Who subscribes to
 * everything does not mean events about Tellwire itself: these are matched where a pattern names them.
 */
function patternsOf(eventType: string): string[] {
  const patterns = isOperationalEventType(eventType) ? [eventType] : ["*", eventType];
  for (let dot = eventType.indexOf("."); dot !== -1; dot = eventType.indexOf(".", dot + 1)) {
    patterns.push(`${eventType.slice(0, dot)}.*`);
  }
  return patterns;
}
