import { publicId } from "../ids.ts";
import { isoTime } from "../iso-time.ts";
import type { PayloadEvent } from "./payload.ts";

/**
 * The context attributes of CloudEvents 1.0 for an event, without `datacontenttype`, in the order of the specification. A publisher's own
 * id and source are kept, because the pair identifies the event to whoever else sees it; without them the id is `evt_…` and the source is
 * a URN of the organization.
 */
export function cloudEventsAttributes(event: PayloadEvent): [name: string, value: string][] {
  const attributes: [string, string][] = [
    ["specversion", "1.0"],
    ["id", event.externalId || event.id],
    ["source", event.source || `urn:tellwire:organization:${publicId("organization", event.organizationId)}`],
    ["type", event.type],
    ["time", isoTime(event.occurredAt)],
  ];
  // An attribute that is present must not be empty (CloudEvents 1.0, "subject").
  if (event.subject) attributes.push(["subject", event.subject]);
  return attributes;
}
