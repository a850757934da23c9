import type { EventRecord } from "../domain/event.ts";
import { type Principal, requiredOrganizationOf } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";
import { checkPayload, eventRecord, type NewEvent } from "./new-event.ts";
import type { Organizations } from "./organizations.ts";
import { ownProjects } from "./projects.ts";
import type { PublishingLimits } from "./publishing-limits.ts";

/** What publishing works with. */
export interface PublishEventsParts
  extends Pick<Dependencies, "broker" | "subjectPrefix" | "publisherMark" | "ids" | "maxPayloadBytes"> {
  organizations: Organizations;
  publishingLimits: Pick<PublishingLimits, "prepare" | "take" | "giveBack">;
}

/**
 * An event that may be published, with its id. `field` names it in the request. Throws INVALID_FIELDS, ORGANIZATION_REQUIRED and
 * ORGANIZATION_NOT_FOUND, and PROJECT_NOT_FOUND for an event of another project than the one that the caller is kept to.
 */
export async function checkedEvent(
  { organizations, ids, maxPayloadBytes }: Pick<PublishEventsParts, "organizations" | "ids" | "maxPayloadBytes">,
  principal: Principal,
  event: NewEvent,
  field: string,
): Promise<EventRecord> {
  const organizationId = requiredOrganizationOf(principal, event.organizationId, `${field}.organization_id`);
  await organizations.require(organizationId);
  const [projectId = ""] = ownProjects(principal, event.projectId === "" ? [] : [event.projectId]);
  checkPayload(event.dataJson, { field: `${field}.${event.dataField}`, maxPayloadBytes });
  return eventRecord({ ...event, projectId }, { organizationId, field, ids });
}
