import { deliveryIdOf, newUuid } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { testIds } from "./engine.ts";

/** An event that was received some time ago. UUIDs. */
export interface PastEvent {
  id: string;
  /** Whole milliseconds since the epoch. */
  receivedAt: number;
}

export interface PastEventsOptions {
  organizationId: string;
  count: number;
  /** Of the first one; the others follow a millisecond apart. Milliseconds since the epoch. */
  receivedAt: number;
  type?: string;
  projectId?: string | null;
  audience?: "SUBSCRIBERS" | "WEBHOOK" | "TEST";
}

/** Writes events that nobody delivers by himself, as if they had been received then. */
export async function insertPastEvents(database: Database, options: PastEventsOptions): Promise<PastEvent[]> {
  const {
    organizationId,
    count,
    receivedAt,
    type = "order.paid",
    projectId = null,
    audience = "SUBSCRIBERS",
  } = options;
  const events = Array.from({ length: count }, (_, index) => ({
    id: newUuid(testIds),
    receivedAt: receivedAt + index,
  }));
  await database.sql.query({ name: "", text: insertEvents }, [
    organizationId,
    type,
    projectId,
    audience,
    events.map(({ id }) => id),
    events.map((event) => new Date(event.receivedAt).toISOString()),
  ]);
  return events;
}

export interface FinishedOptions {
  organizationId: string;
  webhookId: string;
  status: "DELIVERED" | "EXHAUSTED" | "CANCELLED";
  attemptCount: number;
}

/** Writes the finished deliveries of events to a webhook. Returns their ids. */
export async function insertFinishedDeliveries(
  database: Database,
  events: readonly PastEvent[],
  { organizationId, webhookId, status, attemptCount }: FinishedOptions,
): Promise<string[]> {
  const ids = events.map(({ id, receivedAt }) => deliveryIdOf(id, receivedAt, webhookId));
  await database.sql.query({ name: "", text: insertDeliveries }, [
    organizationId,
    webhookId,
    status,
    attemptCount,
    ids,
    events.map(({ id }) => id),
    events.map((event) => new Date(event.receivedAt).toISOString()),
  ]);
  return ids;
}

/** The ids of a webhook's scheduled deliveries, in their order. */
export async function scheduledIds(database: Database, webhookId: string): Promise<string[]> {
  const text = "select id from scheduled_delivery where webhook_id = $1 order by id";
  return (await database.sql.query<{ id: string }>({ name: "", text }, [webhookId])).map(({ id }) => id);
}

const insertEvents = `
  insert into event (id, organization_id, type, data_json, project_id, audience, occurred_at, received_at)
  select e.id, $1::uuid, $2, '{"amount":42}', $3, $4, e.received_at, e.received_at
  from unnest($5::uuid[], $6::timestamptz[]) as e (id, received_at)`;

const insertDeliveries = `
  insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count, last_status_code,
                        created_at, completed_at)
  select d.id, $1::uuid, $2::uuid, d.event_id, 'order.paid', $3, '', $4, 500, d.created_at, d.created_at
  from unnest($5::uuid[], $6::uuid[], $7::timestamptz[]) as d (id, event_id, created_at)`;
