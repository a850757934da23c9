import { eventIdOfExternalId, parseId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { type Event, EventEntity } from "../store/entities/event.ts";
import { organizationOf, type Principal, projectOf, requiredOrganizationOf } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { type Condition, type Page, type PageRequest, pageByTime } from "./page.ts";

/** An event as it is stored. */
export type StoredEvent = Event;

export interface EventTarget {
  /** `evt_…`, a UUID, or the publisher's own id. */
  id: string;
  organizationId: string | undefined;
}

export interface EventFilters {
  organizationId: string | undefined;
  /** Empty: all. */
  type: string;
  /** At this time or later. */
  receivedAfter: Date | undefined;
  /** Before this time. */
  receivedBefore: Date | undefined;
}

export interface ReadEvents {
  /**
   * Throws EVENT_NOT_FOUND, also for an event that was published and is not recorded yet; ORGANIZATION_REQUIRED where an operator gives an id
   * that only means something within an organization. Of an id that was used again, a day or more later, the newest event.
   */
  get(principal: Principal, target: EventTarget): Promise<StoredEvent>;
  /** Newest first. */
  list(principal: Principal, filters: EventFilters, request: PageRequest): Promise<Page<StoredEvent>>;
}

export function createReadEvents({ database }: Dependencies, organizations: Organizations): ReadEvents {
  return {
    async get(principal, target) {
      const { eventId, organizationId } = resolveEventId(principal, target, "id");
      const projectId = projectOf(principal);
      const found = await database
        .em()
        .find(
          EventEntity,
          { id: eventId, ...(organizationId === undefined ? {} : { organizationId }), ...(projectId && { projectId }) },
          { orderBy: { receivedAt: "desc" }, limit: 10 },
        );
      // Publishers choose ids: two organizations may have chosen the same one.
      if (new Set(found.map((event) => event.organizationId)).size > 1) {
        requiredOrganizationOf(principal, undefined, "organization_id");
      }
      const [event] = found;
      if (event === undefined) throw eventNotFound(target.id);
      return event;
    },

    async list(principal, { organizationId: requested, type, receivedAfter, receivedBefore }, request) {
      const organizationId = organizationOf(principal, requested);
      if (organizationId !== undefined) await organizations.require(organizationId);
      const conditions: Condition[] = [];
      if (organizationId !== undefined) conditions.push(["organization_id = ?", organizationId]);
      const projectId = projectOf(principal);
      if (projectId !== undefined) conditions.push(["project_id = ?", projectId]);
      if (type !== "") conditions.push(["type = ?", type]);
      if (receivedAfter !== undefined) conditions.push(["received_at >= ?", receivedAfter]);
      if (receivedBefore !== undefined) conditions.push(["received_at < ?", receivedBefore]);
      const em = database.em();
      return await pageByTime(em, {
        table: "event",
        timeColumn: "received_at",
        conditions,
        filters: { list: "event", organizationId, projectId, type, receivedAfter, receivedBefore },
        request,
        toItem: (row) => em.map(EventEntity, row),
      });
    },
  };
}

/** The UUID of an event from any of its names. Throws ORGANIZATION_REQUIRED for a publisher's own id without an organization. */
export function resolveEventId(
  principal: Principal,
  { id, organizationId: requested }: EventTarget,
  field: string,
): { eventId: string; organizationId: string | undefined } {
  const organizationId = organizationOf(principal, requested);
  const uuid = parseId("event", id);
  if (uuid !== undefined) return { eventId: uuid, organizationId };
  if (organizationId === undefined) {
    const description = `${JSON.stringify(id)} (${field}) is a publisher's own id, which means something only within an organization: name it`;
    throw new TellwireError("ORGANIZATION_REQUIRED", `organization_id: ${description}`, {
      fieldViolations: [{ field: "organization_id", description }],
    });
  }
  return { eventId: eventIdOfExternalId(organizationId, id), organizationId };
}

function eventNotFound(id: string): TellwireError {
  return new TellwireError("EVENT_NOT_FOUND", `there is no event ${JSON.stringify(id)}`, {
    metadata: { event_id: id },
  });
}
