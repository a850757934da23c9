import { webhookDisabledEntry } from "../../domain/audit-entry.ts";
import { deliveryExhausted, isOperationalEventType, webhookDisabled } from "../../domain/operational-event.ts";
import type { Sql } from "../sql.ts";
import { type Disabling, disableWebhook } from "./disable-webhook.ts";
import { flushIncarnation, type Incarnation } from "./incarnation.ts";
import { insertAuditEntries } from "./insert-audit-entries.ts";
import { insertOperationalEvents } from "./insert-operational-events.ts";
import { type DeliveredAtOnce, isDeliveredAtOnce, recordDelivered } from "./record-delivered.ts";
import { giveTurns, type OrderedKey } from "./turns.ts";
import { type AttemptRecord, writeAttempts } from "./write-attempts.ts";
import { type DeliveryRecord, type WrittenDeliveries, writeDeliveries } from "./write-deliveries.ts";
import { wakeLanes, writeLanes } from "./write-lanes.ts";

export interface OutcomeBatch {
  /** Each delivery at most once. */
  deliveries: readonly DeliveryRecord[];
  /** Of these deliveries. */
  attempts: readonly AttemptRecord[];
  disablings: readonly Disabling[];
}

/**
 * Writes a batch of outcomes: deliveries, attempts, the lanes of what is still due, what an attempt disables, and the operational events and audit
 * entries that tell of it. What belongs to one delivery is written in one transaction; what arrived at once and never waited, as nearly all does, in one
 * statement before it. A batch that is written a second time, because nobody knows of its commit, changes nothing. Returns the ids of
 * the deliveries whose event may be lost, because the database crashed since it was written (`eventIn`): of those nothing is written that is still to be
 * sent, and their events have to be written again.
 */
export async function recordOutcomes(sql: Sql, batch: OutcomeBatch): Promise<ReadonlySet<string>> {
  const { written, incarnation } = await recordDelivered(sql, deliveredAtOnce(batch));
  const inDoubt = idsInDoubt(batch, incarnation);
  if (written.size === batch.deliveries.length) {
    return inDoubt;
  }
  const othersInDoubt = await recordTogether(sql, without(batch, written));
  return new Set([...inDoubt].filter((id) => written.has(id)).concat(...othersInDoubt));
}

/** Of those whose events were written in another incarnation, and not flushed there. */
function idsInDoubt({ deliveries }: OutcomeBatch, incarnation: Incarnation | undefined): Set<string> {
  const inDoubt = new Set<string>();
  for (const { id, eventIn } of deliveries) {
    if (eventIn !== undefined && eventIn !== incarnation) inDoubt.add(id);
  }
  return inDoubt;
}

function deliveredAtOnce({ deliveries, attempts }: OutcomeBatch): DeliveredAtOnce[] {
  const attemptOf = new Map(attempts.map((attempt) => [attempt.deliveryId, attempt]));
  // One delivery has several, which the transaction takes.
  if (attemptOf.size < attempts.length) return [];
  return deliveries.flatMap((delivery) => {
    const attempt = attemptOf.get(delivery.id);
    return attempt !== undefined && isDeliveredAtOnce({ delivery, attempt }) ? { delivery, attempt } : [];
  });
}

function without(batch: OutcomeBatch, ids: ReadonlySet<string>): OutcomeBatch {
  if (ids.size === 0) return batch;
  return {
    ...batch,
    deliveries: batch.deliveries.filter(({ id }) => !ids.has(id)),
    attempts: batch.attempts.filter(({ deliveryId }) => !ids.has(deliveryId)),
  };
}

/** Returns the ids of those whose events are in doubt: they are left out. */
async function recordTogether(sql: Sql, whole: OutcomeBatch): Promise<Set<string>> {
  return await sql.transaction(async (transaction) => {
    const inDoubt = idsInDoubt(whole, await flushIncarnation(transaction));
    const batch = without(whole, inDoubt);
    const written = await writeDeliveries(transaction, batch.deliveries);
    const newAttempts = await writeAttempts(transaction, batch.attempts, exhaustedOf(batch));
    await tellOfExhausted(transaction, written);
    // Webhooks before lanes, as whoever changes a webhook locks them: nobody waits for each other in a ring.
    const disabled = await disableWebhooks(transaction, batch, newAttempts);
    const ordered = [...written.scheduled, ...written.finished].filter(({ orderingKey }) => orderingKey !== null);
    await writeLanes(transaction, [...written.scheduled, ...ordered]);
    await wakeLanes(transaction, disabled);
    await giveTurns(transaction, keysOf(ordered));
    return inDoubt;
  });
}

/** Those that end with an attempt of the batch. */
function exhaustedOf({ deliveries }: OutcomeBatch): DeliveryRecord[] {
  return deliveries.filter(({ status }) => status === "EXHAUSTED");
}

/** A key gets its next turn when a delivery of it is finished, or when one comes that nothing stands before. */
function keysOf(ordered: readonly DeliveryRecord[]): OrderedKey[] {
  return ordered.flatMap(({ webhookId, orderingKey }) => (orderingKey === null ? [] : [{ webhookId, orderingKey }]));
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
