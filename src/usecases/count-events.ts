import type { EventRecord } from "../domain/event.ts";
import type { PublishEventsParts } from "./checked-event.ts";

/** Events that count for their organizations. */
export interface CountedEvents {
  /** They were not published after all. */
  giveBack(): void;
}

/**
 * Counts events that are about to be published, all or none of them. Throws RATE_LIMITED or QUOTA_EXCEEDED where they are too many for one of
 * their organizations.
 */
export async function countEvents(
  { publishingLimits, ids }: Pick<PublishEventsParts, "publishingLimits" | "ids">,
  records: readonly Pick<EventRecord, "organizationId">[],
): Promise<CountedEvents> {
  const events = new Map<string, number>();
  for (const { organizationId } of records) events.set(organizationId, (events.get(organizationId) ?? 0) + 1);
  await publishingLimits.prepare(events.keys());
  const now = ids.now();
  const counted: [string, number][] = [];
  const giveBack = (): void => {
    for (const [organizationId, count] of counted) publishingLimits.giveBack(organizationId, count, now);
  };
  for (const [organizationId, count] of events) {
    const refusal = publishingLimits.take(organizationId, count, now);
    if (refusal !== undefined) {
      giveBack();
      throw refusal;
    }
    counted.push([organizationId, count]);
  }
  return { giveBack };
}
