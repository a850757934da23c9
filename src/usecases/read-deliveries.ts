import type { DeliveryStatus } from "../domain/delivery.ts";
import { AttemptEntity } from "../store/entities/attempt.ts";
import { DeliveryEntity } from "../store/entities/delivery.ts";
import { organizationOf, type Principal } from "./access.ts";
import { type AttemptRecord, type DeliveryRecord, type DeliveryTarget, findDelivery } from "./delivery-record.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { type Condition, type Page, type PageRequest, pageByTime } from "./page.ts";
import { resolveEventId } from "./read-events.ts";

export interface DeliveryFilters {
  organizationId: string | undefined;
  /** The webhook's UUID. */
  webhookId: string | undefined;
  /** `evt_…`, a UUID, or the publisher's own id; empty: all. */
  eventId: string;
  /** Empty: all. */
  statuses: readonly DeliveryStatus[];
  /** At this time or later. */
  createdAfter: Date | undefined;
  /** Before this time. */
  createdBefore: Date | undefined;
}

export interface ReadDeliveries {
  /** A delivery with its attempts, oldest first. Throws DELIVERY_NOT_FOUND. */
  get(
    principal: Principal,
    target: DeliveryTarget,
  ): Promise<{ delivery: DeliveryRecord; attempts: readonly AttemptRecord[] }>;
  /** Newest first. */
  list(principal: Principal, filters: DeliveryFilters, request: PageRequest): Promise<Page<DeliveryRecord>>;
}

export function createReadDeliveries({ database }: Dependencies, organizations: Organizations): ReadDeliveries {
  return {
    async get(principal, target) {
      const em = database.em();
      const delivery = await findDelivery(em, principal, target, { lock: false });
      const attempts = await em.find(AttemptEntity, { deliveryId: delivery.id }, { orderBy: { number: "asc" } });
      return { delivery, attempts };
    },

    async list(principal, filters, request) {
      const organizationId = organizationOf(principal, filters.organizationId);
      if (organizationId !== undefined) await organizations.require(organizationId);
      const em = database.em();
      return await pageByTime(em, {
        table: "delivery",
        timeColumn: "created_at",
        conditions: conditionsOf(principal, { ...filters, organizationId }),
        filters: { list: "delivery", ...filters, organizationId },
        request,
        toItem: (row) => em.map(DeliveryEntity, row),
      });
    },
  };
}

function conditionsOf(principal: Principal, filters: DeliveryFilters): Condition[] {
  const { organizationId, webhookId, eventId, statuses, createdAfter, createdBefore } = filters;
  const conditions: Condition[] = [];
  if (organizationId !== undefined) conditions.push(["organization_id = ?", organizationId]);
  if (webhookId !== undefined) conditions.push(["webhook_id = ?", webhookId]);
  if (eventId !== "") {
    const event = resolveEventId(principal, { id: eventId, organizationId }, "event_id");
    conditions.push(["event_id = ?", event.eventId]);
  }
  if (statuses.length > 0) conditions.push([`status in (${statuses.map(() => "?").join(", ")})`, ...statuses]);
  if (createdAfter !== undefined) conditions.push(["created_at >= ?", createdAfter]);
  if (createdBefore !== undefined) conditions.push(["created_at < ?", createdBefore]);
  return conditions;
}
