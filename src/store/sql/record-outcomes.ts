import type { AttemptError, AttemptTrigger } from "../../domain/attempt.ts";
import { webhookDisabledEntry } from "../../domain/audit-entry.ts";
import { deliveryExhausted, isOperationalEventType, webhookDisabled } from "../../domain/operational-event.ts";
import { byteaArray, float8Array, int4Array, textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import type { Sql } from "../sql.ts";
import { type Disabling, disableWebhook } from "./disable-webhook.ts";
import { insertAuditEntries } from "./insert-audit-entries.ts";
import { insertOperationalEvents } from "./insert-operational-events.ts";
import { giveTurns, type OrderedKey } from "./turns.ts";
import { type DeliveryRecord, type WrittenDeliveries, writeDeliveries } from "./write-deliveries.ts";
import { wakeLanes, writeLanes } from "./write-lanes.ts";

/** One request to a receiver. Times in milliseconds since the epoch. */
export interface AttemptRecord {
  id: string;
  deliveryId: string;
  number: number;
  trigger: AttemptTrigger;
  startedAt: number;
  latencyMs: number;
  statusCode: number;
  error: AttemptError | null;
  errorMessage: string;
  responseBody: Uint8Array;
  url: string;
}

export interface OutcomeBatch {
  /** Each delivery at most once. */
  deliveries: readonly DeliveryRecord[];
  attempts: readonly AttemptRecord[];
  disablings: readonly Disabling[];
}

/**
 * Writes a batch of outcomes in one transaction: deliveries, attempts, the lanes of what is still due, what an attempt disables, and the
 * operational events and audit entries that tell of it. A batch that is written a second time, because nobody knows of its commit, changes nothing.
 */
export async function recordOutcomes(sql: Sql, batch: OutcomeBatch): Promise<void> {
  await sql.transaction(async (transaction) => {
    const written = await writeDeliveries(transaction, batch.deliveries);
    const newAttempts = await writeAttempts(transaction, batch);
    await tellOfExhausted(transaction, written);
    // Webhooks before lanes, as whoever changes a webhook locks them: nobody waits for each other in a ring.
    const disabled = await disableWebhooks(transaction, batch, newAttempts);
    const ordered = [...written.scheduled, ...written.finished].filter(({ orderingKey }) => orderingKey !== null);
    await writeLanes(transaction, [...written.scheduled, ...ordered]);
    await wakeLanes(transaction, disabled);
    await giveTurns(transaction, keysOf(ordered));
  });
}

/** A key gets its next turn when a delivery of it is finished, or when one comes that nothing stands before. */
function keysOf(ordered: readonly DeliveryRecord[]): OrderedKey[] {
  return ordered.flatMap(({ webhookId, orderingKey }) => (orderingKey === null ? [] : [{ webhookId, orderingKey }]));
}

/** Returns the deliveries that are exhausted in the batch with an attempt that nobody wrote before. */
async function writeAttempts(sql: Sql, { deliveries, attempts }: OutcomeBatch): Promise<DeliveryRecord[]> {
  if (attempts.length === 0) {
    return [];
  }
  const exhausted = deliveries.filter(({ status }) => status === "EXHAUSTED");
  const rows = await sql.query<{ delivery_id: string }>(insertAttempts, [
    uuidArray(attempts, (attempt) => attempt.id),
    uuidArray(attempts, (attempt) => attempt.deliveryId),
    int4Array(attempts, (attempt) => attempt.number),
    textArray(attempts, (attempt) => attempt.trigger),
    timestamptzArray(attempts, (attempt) => attempt.startedAt),
    float8Array(attempts, (attempt) => attempt.latencyMs),
    int4Array(attempts, (attempt) => attempt.statusCode),
    textArray(attempts, (attempt) => attempt.error),
    textArray(attempts, (attempt) => attempt.errorMessage),
    byteaArray(attempts, (attempt) => attempt.responseBody),
    textArray(attempts, (attempt) => attempt.url),
    uuidArray(exhausted, ({ id }) => id),
  ]);
  const isNew = new Set(rows.map((row) => row.delivery_id));
  return exhausted.filter(({ id }) => isNew.has(id));
}

async function tellOfExhausted(sql: Sql, { finished, exhausted }: WrittenDeliveries): Promise<void> {
  const events = finished
    .filter(({ id, eventType }) => exhausted.has(id) && !isOperationalEventType(eventType))
    .map((delivery) => deliveryExhausted({ ...delivery, completedAt: delivery.completedAt ?? delivery.createdAt }));
  await insertOperationalEvents(sql, events);
}

/**
 * Only for attempts that are new: a webhook may have been switched on again since a batch was written that is written once more. Returns the
 * webhooks that are disabled now.
 */
async function disableWebhooks(
  sql: Sql,
  { disablings }: OutcomeBatch,
  newAttempts: readonly DeliveryRecord[],
): Promise<string[]> {
  const disabledNow: string[] = [];
  for (const disabling of onePerWebhook(disablings)) {
    const causes = newAttempts.filter(({ webhookId }) => webhookId === disabling.webhookId);
    const disabled = causes.length > 0 ? await disableWebhook(sql, disabling) : undefined;
    if (disabled === undefined) {
      continue;
    }
    disabledNow.push(disabled.webhookId);
    await insertAuditEntries(sql, [webhookDisabledEntry(disabled, "delivery-engine")]);
    if (causes.some(({ eventType }) => !isOperationalEventType(eventType))) {
      await insertOperationalEvents(sql, [webhookDisabled(disabled)]);
    }
  }
  return disabledNow;
}

/**
 * Of each webhook the one that asks for the least, in the order of the ids: the deliveries are written, so one look at them is enough. A receiver
 * that fails hundreds in a batch would otherwise cost as many statements, for which everybody's outcomes wait.
 */
function onePerWebhook(disablings: readonly Disabling[]): Disabling[] {
  const least = new Map<string, Disabling>();
  for (const disabling of disablings) {
    const other = least.get(disabling.webhookId);
    if (other === undefined || disabling.afterExhausted < other.afterExhausted) {
      least.set(disabling.webhookId, disabling);
    }
  }
  return [...least.values()].sort((one, other) => (one.webhookId < other.webhookId ? -1 : 1));
}

// Cost: a row and two index entries for each attempt. Returns the deliveries of those that are new, of the few that are asked for.
const insertAttempts = {
  name: "insert-attempts",
  text: `
    with inserted as (
      insert into attempt (id, delivery_id, number, trigger, started_at, latency_ms, status_code, error, error_message, response_body, url)
      select * from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::timestamptz[], $6::float8[], $7::integer[], $8::text[],
                           $9::text[], $10::bytea[], $11::text[])
      on conflict (id) do nothing
      returning delivery_id
    )
    select delivery_id from inserted where delivery_id = any($12::uuid[])`,
};
