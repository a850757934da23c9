import type { IncomingMessage, RejectReason } from "../broker/broker.ts";
import type { ReceivedEvent } from "./receive-events.ts";

/** What is asked about events of organizations that exist, before they are written. */
export interface EventAdmission {
  /** Whether the message was counted when this deployment accepted it: then it is not asked about again. */
  isAccepted(message: IncomingMessage): boolean;
  /** Gets ready to decide on events of these organizations. */
  prepare(organizationIds: Iterable<string>): Promise<void>;
  /** Counts an event, or says why it is one too many. `publishedAt` in milliseconds since the epoch. */
  take(organizationId: string, publishedAt: number): { reason: RejectReason; detail: string } | undefined;
}

/**
 * The events that are admitted; each message of the others is refused. What the broker delivers another time may have been admitted the first time, and is
 * not asked about again: what was accepted is never dropped. `now` in milliseconds since the epoch.
 */
export async function admittedOf(
  events: ReceivedEvent[],
  { admission, now }: { admission?: EventAdmission; now: () => number },
  onRefused: (message: IncomingMessage, refusal: { reason: RejectReason; detail: string }) => void,
): Promise<ReceivedEvent[]> {
  if (admission === undefined) {
    return events;
  }
  const isAsked = ({ messages }: ReceivedEvent): boolean =>
    messages.every((message) => message.deliveryCount === 1 && !admission.isAccepted(message));
  const asked = events.filter(isAsked);
  if (asked.length === 0) {
    return events;
  }
  await admission.prepare(asked.map(({ record }) => record.organizationId));
  const refused = new Set<ReceivedEvent>();
  for (const event of asked) {
    const [first] = event.messages;
    const refusal = admission.take(event.record.organizationId, first?.publishedAt.getTime() ?? now());
    if (refusal !== undefined) {
      refused.add(event);
      for (const message of event.messages) {
        onRefused(message, refusal);
      }
    }
  }
  return refused.size === 0 ? events : events.filter((event) => !refused.has(event));
}
