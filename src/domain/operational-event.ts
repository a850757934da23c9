import { operationalEventId, publicId } from "./ids.ts";

/**
 * The types of events about Tellwire itself, published to the organization that they concern. A webhook gets them only where a pattern names
 * them. Their own deliveries cause none, so that no receiver's trouble feeds itself.
 */
export const OPERATIONAL_EVENT_TYPES = ["webhook.disabled", "webhook.recovered", "delivery.exhausted"] as const;

export type OperationalEventType = (typeof OPERATIONAL_EVENT_TYPES)[number];

/** What such events name as their source. */
export const OPERATIONAL_EVENT_SOURCE = "tellwire";

/** One event about Tellwire, as it waits to be published. */
export interface OperationalEvent {
  id: string;
  organizationId: string;
  type: OperationalEventType;
  /** JSON text. */
  dataJson: string;
  /** Milliseconds since the epoch. */
  occurredAt: number;
}

/** Whether events of this type are about Tellwire itself. */
export function isOperationalEventType(type: string): type is OperationalEventType {
  return OPERATIONAL_EVENT_TYPES.some((each) => each === type);
}

/** A delivery was given up. Telling of the same attempt twice makes the same event. Ids are UUIDs here, and public ids in the data. */
export function deliveryExhausted(delivery: ExhaustedDelivery): OperationalEvent {
  const { id, organizationId, attemptCount, completedAt } = delivery;
  return {
    id: operationalEventId(`delivery.exhausted\n${id}\n${attemptCount}`, completedAt),
    organizationId,
    type: "delivery.exhausted",
    dataJson: JSON.stringify({
      delivery_id: publicId("delivery", id),
      webhook_id: publicId("webhook", delivery.webhookId),
      event_id: publicId("event", delivery.eventId),
      event_type: delivery.eventType,
      attempt_count: attemptCount,
      status_reason: delivery.statusReason,
    }),
    occurredAt: completedAt,
  };
}

export interface ExhaustedDelivery {
  id: string;
  organizationId: string;
  webhookId: string;
  eventId: string;
  eventType: string;
  attemptCount: number;
  statusReason: string;
  /** Milliseconds since the epoch. */
  completedAt: number;
}

/** A webhook that had failed again and again succeeded. */
export function webhookRecovered(recovered: RecoveredWebhook): OperationalEvent {
  const { webhookId, organizationId, failures, failingSince, at } = recovered;
  return {
    id: operationalEventId(`webhook.recovered\n${webhookId}\n${failingSince ?? at}`, at),
    organizationId,
    type: "webhook.recovered",
    dataJson: JSON.stringify({
      webhook_id: publicId("webhook", webhookId),
      consecutive_failures: failures,
      ...(failingSince === null ? {} : { failing_since: new Date(failingSince).toISOString() }),
    }),
    occurredAt: at,
  };
}

export interface RecoveredWebhook {
  webhookId: string;
  organizationId: string;
  /** How many attempts in a row had failed. */
  failures: number;
  /** When the first of them failed, where that is known. Milliseconds since the epoch, like the other. */
  failingSince: number | null;
  /** When an attempt succeeded. */
  at: number;
}

/** After so many failed attempts in a row a success is worth telling. */
export const RECOVERED_AFTER_FAILURES = 10;

/** A webhook was disabled by Tellwire. `version` is the webhook's after that: the same one makes the same event. */
export function webhookDisabled({ webhookId, organizationId, reason, version, at }: DisabledWebhook): OperationalEvent {
  return {
    id: operationalEventId(`webhook.disabled\n${webhookId}\n${version}`, at),
    organizationId,
    type: "webhook.disabled",
    dataJson: JSON.stringify({ webhook_id: publicId("webhook", webhookId), reason }),
    occurredAt: at,
  };
}

export interface DisabledWebhook {
  webhookId: string;
  organizationId: string;
  reason: string;
  version: number;
  /** Milliseconds since the epoch. */
  at: number;
}
