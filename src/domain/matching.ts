/**
 * Finds the subscriptions that want an event type. Exact names cost one lookup, prefixes one for each part of the type, so that the cost
 * of a match does not grow with the number of subscriptions that do not match.
 */
export function createTypeIndex<Subscription>(
  subscriptions: Iterable<{ eventTypes: readonly string[]; subscription: Subscription }>,
): TypeIndex<Subscription> {
  const byPattern = new Map<string, Subscription[]>();
  for (const { eventTypes, subscription } of subscriptions) {
    for (const pattern of new Set(eventTypes)) {
      const listed = byPattern.get(pattern);
      if (listed === undefined) {
        byPattern.set(pattern, [subscription]);
      } else {
        listed.push(subscription);
      }
    }
  }
  return {
    match(eventType) {
      const found = new Set<Subscription>();
      for (const pattern of patternsOf(eventType)) {
        for (const subscription of byPattern.get(pattern) ?? []) {
          found.add(subscription);
        }
      }
      return [...found];
    },
  };
}

export interface TypeIndex<Subscription> {
  /** Each subscription once, whichever and however many of its patterns match. */
  match(eventType: string): Subscription[];
}

/** Every pattern that matches the type: `invoice.item.paid` is matched by itself, `invoice.item.*`, `invoice.*` and `*`. */
function patternsOf(eventType: string): string[] {
  const patterns = ["*", eventType];
  for (let dot = eventType.indexOf("."); dot !== -1; dot = eventType.indexOf(".", dot + 1)) {
    patterns.push(`${eventType.slice(0, dot)}.*`);
  }
  return patterns;
}
