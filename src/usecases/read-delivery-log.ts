import type { DeliveryStatus } from "../domain/delivery.ts";
import { type LastAttempt, lastAttempts } from "../store/sql/last-attempts.ts";
import type { Sql } from "../store/sql.ts";
import type { Principal } from "./access.ts";
import type { DeliveryRecord } from "./delivery-record.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Page, PageRequest } from "./page.ts";
import { attemptsInQuestion, pageOfDeliveries } from "./read-deliveries.ts";
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

/** The deliveries of one webhook, newest first, in two queries a page. Throws WEBHOOK_NOT_FOUND. */
export type ReadDeliveryLog = (
  principal: Principal,
  filters: DeliveryLogFilters,
  request: PageRequest,
) => Promise<Page<DeliveryLogEntry>>;

export function createReadDeliveryLog({ database }: Dependencies): ReadDeliveryLog {
  return async (principal, { eventType, statuses, ...target }, request) => {
    const { id: webhookId } = await findWebhook(database.em(), principal, target, { lock: false });
    const { items, nextPageToken } = await pageOfDeliveries(database.sql, {
      filters: { ...everything, webhookId, eventType, statuses },
      scope: { list: "delivery log", webhookId, eventType, statuses },
      request,
    });
    const attempts = await attemptsOf(database.sql, items);
    return {
      items: items.map((delivery) => ({ delivery, lastAttempt: attempts.get(delivery.id) })),
      nextPageToken,
    };
  };
}

const everything = {
  organizationId: undefined,
  webhookIds: undefined,
  events: undefined,
  createdAfter: undefined,
  createdBefore: undefined,
};

async function attemptsOf(sql: Sql, deliveries: readonly DeliveryRecord[]): Promise<Map<string, LastAttempt>> {
  if (deliveries.length === 0) return new Map();
  return await lastAttempts(sql, attemptsInQuestion(deliveries));
}
