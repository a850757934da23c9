import type { AuditState } from "../domain/audit-entry.ts";
import { publicId } from "../domain/ids.ts";
import type { ApiKey } from "../store/entities/api-key.ts";
import type { Organization } from "../store/entities/organization.ts";
import type { Recovery } from "../store/entities/recovery.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import type { DeliveryRecord } from "./delivery-record.ts";
import { rateLimitOf } from "./webhook-fields.ts";

/**
 * What the audit log keeps of a webhook: what reading it shows but for its health and its times of change, with the names of the API's JSON.
 * Its secrets are elsewhere, and the values of its headers are taken out by the trail. A copy: later changes of the row do not reach it.
 */
export function auditedWebhook(webhook: Webhook): AuditState {
  const { name, retryDelaysMs, timeoutMs } = webhook;
  const limit = rateLimitOf(webhook);
  return structuredClone({
    projectIds: webhook.projectIds,
    name: name ?? "",
    description: webhook.description,
    url: webhook.url,
    eventTypes: webhook.eventTypes,
    status: webhook.status,
    statusReason: webhook.statusReason,
    format: webhook.format,
    signingAlgorithm: webhook.signingAlgorithm,
    headers: webhook.headers,
    config: webhook.config ?? null,
    retryPolicy: {
      delays: retryDelaysMs?.map(secondsText) ?? [],
      maxAttempts: webhook.maxAttempts ?? 0,
      timeout: timeoutMs ? secondsText(timeoutMs) : null,
    },
    disableAfterExhausted: webhook.disableAfterExhausted ?? 0,
    rateLimit: limit && { maxRequests: limit.count, period: secondsText(limit.periodMs) },
    ordering: webhook.ordering,
    verification: { method: webhook.verificationMethod, verifyTime: timeText(webhook.verifiedAt) },
  });
}

/** Whose change it is, and of what: the part of an entry that all changes of a webhook have in common. */
export function aboutWebhook({ id, organizationId }: Pick<Webhook, "id" | "organizationId">) {
  return { organizationId, resource: { type: "webhook", id } } as const;
}

/** The same of a delivery. */
export function aboutDelivery({ id, organizationId }: Pick<DeliveryRecord, "id" | "organizationId">) {
  return { organizationId, resource: { type: "delivery", id } } as const;
}

/** The same of a recovery. */
export function aboutRecovery({ id, organizationId }: Pick<Recovery, "id" | "organizationId">) {
  return { organizationId, resource: { type: "recovery", id } } as const;
}

/** The same of an organization. */
export function aboutOrganization({ id }: Pick<Organization, "id">) {
  return { organizationId: id, resource: { type: "organization", id } } as const;
}

/** The same of a key of an organization. */
export function aboutApiKey({ id, organizationId }: Pick<ApiKey, "id" | "organizationId">) {
  return { organizationId, resource: { type: "api_key", id } } as const;
}

/** What the audit log keeps of a key: nothing of the key itself, and not the beginning that lists show. */
export function auditedApiKey(key: Omit<ApiKey, "hash">): AuditState {
  return {
    name: key.name,
    scopes: [...key.scopes],
    projectId: key.projectId ?? "",
    expireTime: timeText(key.expiresAt),
    revokeTime: timeText(key.revokedAt),
  };
}

/** What the audit log keeps of an organization. */
export function auditedOrganization({ name, projectIds, limits }: Organization): AuditState {
  return { name, projectIds: [...projectIds], ...(limits ? { limits: { ...limits } } : {}) };
}

/** What the audit log keeps of a delivery: where it stands. Never its event's data. */
export function auditedDelivery(delivery: DeliveryRecord): AuditState {
  return {
    webhookId: publicId("webhook", delivery.webhookId),
    eventId: publicId("event", delivery.eventId),
    status: delivery.status,
    statusReason: delivery.statusReason,
    nextAttemptTime: timeText(delivery.nextAttemptAt),
  };
}

/** What the audit log keeps of a recovery. */
export function auditedRecovery(recovery: Recovery): AuditState {
  return {
    webhookId: publicId("webhook", recovery.webhookId),
    scope: recovery.scope,
    sinceTime: timeText(recovery.since),
    untilTime: timeText(recovery.until),
    status: recovery.status,
    statusReason: recovery.statusReason,
  };
}

/** RFC 3339; null where there is no time. */
export function timeText(time: Date | null | undefined): string | null {
  return time?.toISOString() ?? null;
}

/** A duration as the JSON of the API has it: `1.5s`. */
export function secondsText(ms: number): string {
  return `${ms / 1000}s`;
}
