import type { SqlEntityManager } from "@mikro-orm/sql";
import type { VerificationMethod } from "../domain/webhook.ts";
import type { Database } from "../store/database.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import { cancelSomeWaiting, cancelWaiting } from "../store/sql/lanes.ts";
import { transactionSql } from "../store/transaction-sql.ts";
import type { Principal } from "./access.ts";
import type { ChangeMarks } from "./changes.ts";
import { makeLaneDue } from "./make-lane-due.ts";
import { requireOwnWebhook } from "./projects.ts";
import { findWebhook, type WebhookTarget } from "./webhook-record.ts";

/** The columns that say whether a webhook gets events. */
export type Activation = Pick<Webhook, "status" | "statusReason" | "verifiedAt" | "verificationDueAt" | "activeSince">;

/**
 * How a webhook starts with a URL and a method that are new: ACTIVE where an operator vouches for the receiver or its format needs
 * no proof, else UNVERIFIED with its
 * verification due now.
 */
export function initialActivation(method: VerificationMethod, now: Date): Activation {
  if (method === "VOUCHED" || method === "NONE") return verifiedActivation(now);
  return {
    status: "UNVERIFIED",
    statusReason: "the receiver has not yet proved that it wants to be called",
    verifiedAt: null,
    verificationDueAt: now,
    activeSince: null,
  };
}

/** A receiver that has just proved, or been vouched for, that it wants to be called. */
export function verifiedActivation(now: Date): Activation {
  return { status: "ACTIVE", statusReason: "", verifiedAt: now, verificationDueAt: null, activeSince: now };
}

/** A webhook that starts switched off: nobody is asked for a proof before somebody switches it on. */
export function disabledActivation(statusReason: string): Activation {
  return { status: "DISABLED", statusReason, verifiedAt: null, verificationDueAt: null, activeSince: null };
}

/**
 * Cancels what waits for a webhook that is being disabled: a thousand deliveries in the transaction that does it, after the flush. The worker of its
 * lane cancels the others; wake the lane.
 */
export async function dropFirstWaiting(em: SqlEntityManager, webhookId: string, now: Date): Promise<void> {
  await cancelSomeWaiting(transactionSql(em), waitingFor(webhookId, now));
}

/**
 * Cancels everything that still waits for a webhook which is being taken out of DISABLED: none of it is for the webhook any more. Call it before
 * the flush that does so; and `clearWaiting` before the transaction, so that it finds little.
 */
export async function dropWaiting(em: SqlEntityManager, webhookId: string, now: Date): Promise<void> {
  await cancelWaiting(transactionSql(em), waitingFor(webhookId, now));
}

/**
 * Cancels what waits for a webhook that is DISABLED, however much it is, with no lock that lasts; of any other webhook, nothing. Call it outside of
 * a transaction. Throws what a change of the webhook by the caller throws: WEBHOOK_NOT_FOUND and WHOLE_ORGANIZATION_REQUIRED.
 */
export type ClearWaiting = (principal: Principal, target: WebhookTarget) => Promise<void>;

export function createClearWaiting({ database, now }: ClearWaitingParts): ClearWaiting {
  return async (principal, target) => {
    const webhook = await findWebhook(database.em(), principal, target, { lock: false });
    requireOwnWebhook(principal, webhook);
    await cancelWaiting(database.sql, waitingFor(webhook.id, new Date(now())));
  };
}

export interface ClearWaitingParts {
  database: Pick<Database, "em" | "sql">;
  now: () => number;
}

function waitingFor(webhookId: string, now: Date) {
  return { webhookId, reason: "the webhook was disabled", now: now.getTime() };
}

/**
 * What waits for a webhook whose status has changed is looked at again: it starts, or is cancelled. Call it after the new status is written. A
 * lane that is not there is made: who schedules the first delivery at the same time waits for it, and nobody judges by the old status.
 */
export async function wakeLane(em: SqlEntityManager, webhookId: string, marks: ChangeMarks): Promise<void> {
  await makeLaneDue(em, webhookId, marks);
}

/** Counts the deliveries that are given up, and the time of nothing but failures, from zero: what was before does not disable the webhook any more. */
export async function resetExhausted(em: SqlEntityManager, webhookId: string, since: Date): Promise<void> {
  await em.execute(
    "update webhook_health set consecutive_exhausted = 0, exhausted_since = ?, failing_since = null where webhook_id = ?",
    [since, webhookId],
  );
}

/** The time of nothing but failures begins anew: while the webhook was paused, its receiver had no chance to do better. */
export async function resetFailing(em: SqlEntityManager, webhookId: string): Promise<void> {
  await em.execute("update webhook_health set failing_since = null where webhook_id = ?", [webhookId]);
}
