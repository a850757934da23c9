import type { DeliveryStatus } from "../domain/delivery.ts";
import { firstIdAt } from "../domain/ids.ts";
import { type DeliveryPageFilters, readDeliveryPage } from "../store/sql/delivery-pages.ts";
import { findEventDeliveries } from "../store/sql/event-places.ts";
import { type AttemptsInQuestion, readAttempts } from "../store/sql/stored-attempts.ts";
import type { Sql } from "../store/sql.ts";
import { organizationOf, type Principal } from "./access.ts";
import { type AttemptRecord, type DeliveryRecord, type DeliveryTarget, findDelivery } from "./delivery-record.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";
import { visibleWebhookIds } from "./projects.ts";
import { resolveEventId } from "./read-events.ts";

export interface DeliveryFilters {
  organizationId: string | undefined;
  /** The webhook's UUID. */
  webhookId: string | undefined;
  /** `evt_…`, a UUID, or the publisher's own id; empty: all. An event that is no longer kept has no deliveries here: without it, they are not found. */
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
  /** Newest first, by the time at which the event was received. */
  list(principal: Principal, filters: DeliveryFilters, request: PageRequest): Promise<Page<DeliveryRecord>>;
}

export function createReadDeliveries({ database }: Dependencies, organizations: Organizations): ReadDeliveries {
  return {
    async get(principal, target) {
      const delivery = await findDelivery(database.sql, principal, target);
      return { delivery, attempts: await readAttempts(database.sql, attemptsInQuestion([delivery])) };
    },

    async list(principal, requested, request) {
      const organizationId = organizationOf(principal, requested.organizationId);
      if (organizationId !== undefined) await organizations.require(organizationId);
      const filters = { ...requested, organizationId };
      const webhookIds = await visibleWebhookIds(database.em(), principal);
      return await pageOfDeliveries(database.sql, {
        filters: { ...filters, webhookIds, eventType: "", events: await eventsOf(database.sql, principal, filters) },
        scope: { list: "delivery", ...filters },
        request,
      });
    },
  };
}

/** Cuts a page out of the deliveries. The token is bound to `scope`. */
export async function pageOfDeliveries(
  sql: Sql,
  { filters, scope, request }: { filters: DeliveryPageFilters; scope: unknown; request: PageRequest },
): Promise<Page<DeliveryRecord>> {
  const before = decodePageToken(scope, request.pageToken)?.id;
  const rows = await readDeliveryPage(sql, filters, { before, limit: pageSizeOf(request) + 1 });
  return pageById(rows, { request, filters: scope, toItem: (row) => row });
}

/**
 * Where the attempts of these deliveries stand: their ids begin with the time of the start, which lies between the receipt of the event
 * and the end of the delivery. So the partitions of other days are not read. A minute on both sides is for clocks that differ.
 */
export function attemptsInQuestion(deliveries: readonly DeliveryRecord[]): AttemptsInQuestion {
  const first = Math.min(...deliveries.map(({ createdAt }) => createdAt.getTime()));
  const last = Math.max(...deliveries.map(({ completedAt }) => completedAt?.getTime() ?? endOfTime));
  return {
    deliveryIds: deliveries.map(({ id }) => id),
    first: firstIdAt(Math.max(0, first - clockDifferenceMs)),
    end: firstIdAt(last + clockDifferenceMs),
  };
}

const clockDifferenceMs = 60_000;
/** The year 9999, as far as 48 bits of milliseconds and everybody's calendars reach. */
const endOfTime = Date.UTC(9999, 0);

async function eventsOf(
  sql: Sql,
  principal: Principal,
  { eventId: id, organizationId }: DeliveryFilters,
): Promise<DeliveryPageFilters["events"]> {
  if (id === "") return undefined;
  const { eventId } = resolveEventId(principal, { id, organizationId }, "event_id");
  return await findEventDeliveries(sql, { eventId, organizationId });
}
