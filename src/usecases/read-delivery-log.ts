import type { DeliveryStatus } from "../domain/delivery.ts";
import { DeliveryEntity } from "../store/entities/delivery.ts";
import type { Principal } from "./access.ts";
import type { DeliveryRecord } from "./delivery-record.ts";
import type { Dependencies } from "./dependencies.ts";
import { type Condition, type Page, type PageRequest, pageByTime } from "./page.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

export interface DeliveryLogFilters extends WebhookTarget {
  /** Empty: all. */
  eventType: string;
  /** Empty: all. */
  statuses: readonly DeliveryStatus[];
}

/** A delivery with what came of its newest attempt. */
export interface DeliveryLogEntry {
  delivery: DeliveryRecord;
  /** Undefined before the first attempt. */
  lastAttempt: LastAttempt | undefined;
}

export interface LastAttempt {
  endedAt: Date;
  /** Empty where the receiver took the event. */
  errorMessage: string;
}

/** The deliveries of one webhook, newest first, in one query a page. Throws WEBHOOK_NOT_FOUND. */
export type ReadDeliveryLog = (
  principal: Principal,
  filters: DeliveryLogFilters,
  request: PageRequest,
) => Promise<Page<DeliveryLogEntry>>;

export function createReadDeliveryLog({ database }: Dependencies): ReadDeliveryLog {
  return async (principal, { eventType, statuses, ...target }, request) => {
    const em = database.em();
    const { id: webhookId } = await findWebhook(em, principal, target, { lock: false });
    const conditions: Condition[] = [["webhook_id = ?", webhookId]];
    if (eventType !== "") conditions.push(["event_type = ?", eventType]);
    if (statuses.length > 0) conditions.push([`status in (${statuses.map(() => "?").join(", ")})`, ...statuses]);
    return await pageByTime(em, {
      table: deliveryWithLastAttempt,
      timeColumn: "created_at",
      conditions,
      filters: { list: "delivery log", webhookId, eventType, statuses },
      request,
      toItem: ({ last_ended_ms: endedMs, last_error_message: errorMessage, ...row }) => ({
        delivery: em.map(DeliveryEntity, row),
        lastAttempt:
          endedMs === null ? undefined : { endedAt: new Date(Number(endedMs)), errorMessage: String(errorMessage) },
      }),
    });
  };
}

// Indexes: delivery_webhook, and attempt_delivery for each row of the page.
const deliveryWithLastAttempt = `delivery left join lateral (
    select (extract(epoch from started_at) * 1000 + latency_ms)::float8 as last_ended_ms, error_message as last_error_message
    from attempt where delivery_id = delivery.id order by number desc limit 1
  ) last_attempt on true`;
