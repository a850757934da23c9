import { isDeepStrictEqual } from "node:util";
import { LockMode } from "@mikro-orm/core";
import type { SqlEntityManager } from "@mikro-orm/sql";
import { publicId } from "../domain/ids.ts";
import { TellwireError } from "../errors.ts";
import { type Webhook, WebhookEntity } from "../store/entities/webhook.ts";
import { newWebhookHealth, type WebhookHealth, WebhookHealthEntity } from "../store/entities/webhook-health.ts";
import { organizationOf, type Principal } from "./access.ts";
import { requireOwnWebhook, toldProjects, visibleWebhooks } from "./projects.ts";

/** A webhook as callers see it: without its secrets, with how its deliveries went. */
export interface WebhookRecord {
  webhook: Webhook;
  /** Undefined while nothing is known of its deliveries. */
  health: WebhookHealth | undefined;
  /** Changes with every change of the webhook (AIP-154). */
  etag: string;
}

/** Which webhook a call is about. */
export interface WebhookTarget {
  /** The webhook's UUID. */
  id: string;
  /** The organization's UUID, where the call names one. */
  organizationId: string | undefined;
}

/**
 * Finds a webhook that the caller may see. Throws WEBHOOK_NOT_FOUND for one that does not exist, for one of another organization, and for
 * one of other projects than the caller's. `lock` is for a change: it keeps others from changing the webhook until the transaction ends, and
 * throws WHOLE_ORGANIZATION_REQUIRED where the caller sees the webhook and may not change it.
 */
export async function findWebhook(
  em: SqlEntityManager,
  principal: Principal,
  { id, organizationId: requested }: WebhookTarget,
  { lock }: { lock: boolean },
): Promise<Webhook> {
  const organizationId = organizationOf(principal, requested);
  const webhook = await em.findOne(
    WebhookEntity,
    { id, ...(organizationId === undefined ? {} : { organizationId }), ...visibleWebhooks(principal) },
    lock ? { lockMode: LockMode.PESSIMISTIC_WRITE } : {},
  );
  if (webhook === null) throw webhookNotFound(id);
  if (lock) requireOwnWebhook(principal, webhook);
  return webhook;
}

/** What the caller reads of a webhook that it may not be able to change: one that is of other projects too does not name them to it. */
export function recordFor(principal: Principal, record: WebhookRecord): WebhookRecord {
  const { webhook } = record;
  return { ...record, webhook: { ...webhook, projectIds: toldProjects(principal, webhook.projectIds) } };
}

/** Adds the health to webhooks, in their order. One query for all of them. */
export async function webhookRecords(em: SqlEntityManager, webhooks: readonly Webhook[]): Promise<WebhookRecord[]> {
  if (webhooks.length === 0) return [];
  const rows = await em.find(WebhookHealthEntity, { webhookId: { $in: webhooks.map(({ id }) => id) } });
  const healthOf = new Map(rows.map((row) => [row.webhookId, row]));
  return webhooks.map((webhook) => ({ webhook, health: known(healthOf.get(webhook.id)), etag: etagOf(webhook) }));
}

/** The same for one. The version is that of the last flush: ask after it. */
export async function webhookRecord(em: SqlEntityManager, webhook: Webhook): Promise<WebhookRecord> {
  const health = await em.findOne(WebhookHealthEntity, { webhookId: webhook.id });
  return { webhook, health: known(health), etag: etagOf(webhook) };
}

/** Throws ETAG_MISMATCH where the caller knows another state of the webhook. An empty etag matches everything. */
export function requireEtag(webhook: Webhook, etag: string): void {
  if (etag === "" || etag === etagOf(webhook)) return;
  throw new TellwireError(
    "ETAG_MISMATCH",
    "etag: somebody changed the webhook in between: read it again, and repeat the change on what it is now",
    { metadata: { webhook_id: publicId("webhook", webhook.id), current_etag: etagOf(webhook) } },
  );
}

/** WEBHOOK_NOT_FOUND for a webhook's UUID. */
export function webhookNotFound(id: string): TellwireError {
  const webhookId = publicId("webhook", id);
  return new TellwireError("WEBHOOK_NOT_FOUND", `there is no webhook ${webhookId}`, {
    metadata: { webhook_id: webhookId },
  });
}

function etagOf({ version }: Webhook): string {
  return version.toString(36);
}

/** What callers read of a row, which is there from the beginning: nothing, while it is as it was made. */
function known(health: WebhookHealth | null | undefined): WebhookHealth | undefined {
  if (!health) return undefined;
  const isAsMade = isDeepStrictEqual({ ...health, exhaustedSince: null }, newWebhookHealth(health.webhookId));
  return isAsMade ? undefined : health;
}
