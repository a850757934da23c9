import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Ordering,
  type RateLimit,
  type RetryPolicy,
  SigningAlgorithm,
  VerificationMethod,
  type Webhook,
  WebhookFormat,
  WebhookSchema,
  WebhookStatus,
} from "../../../gen/tellwire/v1/webhook_pb.ts";
import { publicId } from "../../domain/ids.ts";
import { maskedHeaders } from "../../domain/masked-headers.ts";
import type { NewWebhook } from "../../usecases/create-webhook.ts";
import { type RetrySettings, rateLimitOf, type WebhookFields } from "../../usecases/webhook-fields.ts";
import type { WebhookRecord } from "../../usecases/webhook-record.ts";
import { durationOf, enumName, millisecondsOf, optionalUuidOf, timestampOf } from "./wire-values.ts";

/** A webhook as answers show it: never with a secret. */
export function webhookMessage({ webhook, health, etag }: WebhookRecord): Webhook {
  return create(WebhookSchema, {
    id: publicId("webhook", webhook.id),
    organizationId: publicId("organization", webhook.organizationId),
    projectIds: webhook.projectIds,
    name: webhook.name ?? "",
    description: webhook.description,
    url: webhook.url,
    eventTypes: webhook.eventTypes,
    status: WebhookStatus[webhook.status],
    statusReason: webhook.statusReason,
    format: WebhookFormat[webhook.format],
    signingAlgorithm: webhook.signingAlgorithm === "ED25519" ? SigningAlgorithm.ED25519 : SigningAlgorithm.UNSPECIFIED,
    headers: maskedHeaders(webhook.headers),
    ...(webhook.config ? { config: webhook.config as JsonObject } : {}),
    disableAfterExhausted: webhook.disableAfterExhausted ?? 0,
    ...retryPolicyOf(webhook),
    ...rateLimitMessage(webhook),
    // What everybody has is left out, as with every default.
    ordering: webhook.ordering === "BY_KEY" ? Ordering.BY_KEY : Ordering.UNSPECIFIED,
    verification: {
      method: VerificationMethod[webhook.verificationMethod],
      verifyTime: timestampOf(webhook.verifiedAt),
    },
    ...(health === undefined ? {} : { health: healthOf(health) }),
    createTime: timestampOf(webhook.createdAt),
    updateTime: timestampOf(webhook.updatedAt),
    etag,
  });
}

/** What a creation asks for. The message's rules hold already. */
export function newWebhook(message: Webhook): NewWebhook {
  return {
    ...webhookFieldsOf(message),
    organizationId: optionalUuidOf("organization", message.organizationId, "webhook.organization_id"),
    signingSecret: message.signingSecret,
    signingAlgorithm: enumName(SigningAlgorithm, message.signingAlgorithm),
  };
}

/** The fields that a caller may set, with the defaults of what is left out. */
export function webhookFieldsOf(message: Webhook): WebhookFields {
  const { projectIds, name, description, url, eventTypes, headers, retryPolicy } = message;
  return {
    projectIds,
    name,
    description,
    url,
    eventTypes,
    format: enumName(WebhookFormat, message.format) ?? "STANDARD",
    headers,
    config: message.config ?? null,
    disableAfterExhausted: message.disableAfterExhausted || null,
    retry: retrySettingsOf(retryPolicy),
    verificationMethod: enumName(VerificationMethod, message.verification?.method ?? 0) ?? "CHALLENGE",
    rateLimit: message.rateLimit === undefined ? null : rateLimitSettings(message.rateLimit),
    ordering: enumName(Ordering, message.ordering) ?? "NONE",
  };
}

function rateLimitSettings({ maxRequests, period }: RateLimit): WebhookFields["rateLimit"] {
  return { count: maxRequests, periodMs: period === undefined ? 1_000 : millisecondsOf(period) };
}

function rateLimitMessage(
  webhook: WebhookRecord["webhook"],
): Pick<MessageInitShape<typeof WebhookSchema>, "rateLimit"> {
  const limit = rateLimitOf(webhook);
  return limit === null ? {} : { rateLimit: { maxRequests: limit.count, period: durationOf(limit.periodMs) } };
}

function retrySettingsOf(policy: RetryPolicy | undefined): RetrySettings {
  return {
    delaysMs: policy === undefined || policy.delays.length === 0 ? null : policy.delays.map(millisecondsOf),
    maxAttempts: policy?.maxAttempts || null,
    timeoutMs: policy?.timeout === undefined ? null : millisecondsOf(policy.timeout),
  };
}

/** Set where the webhook sets any of it. */
function retryPolicyOf(webhook: WebhookRecord["webhook"]): Pick<MessageInitShape<typeof WebhookSchema>, "retryPolicy"> {
  const { retryDelaysMs, maxAttempts, timeoutMs } = webhook;
  if (!retryDelaysMs && !maxAttempts && !timeoutMs) return {};
  return {
    retryPolicy: {
      delays: (retryDelaysMs ?? []).map(durationOf),
      maxAttempts: maxAttempts ?? 0,
      ...(timeoutMs ? { timeout: durationOf(timeoutMs) } : {}),
    },
  };
}

function healthOf(health: NonNullable<WebhookRecord["health"]>) {
  return {
    lastSuccessTime: timestampOf(health.lastSuccessAt),
    lastFailureTime: timestampOf(health.lastFailureAt),
    consecutiveFailures: health.consecutiveFailures,
    lastError: health.lastError,
    totalAttempts: BigInt(health.totalAttempts),
    failedAttempts: BigInt(health.failedAttempts),
    consecutiveExhausted: health.consecutiveExhausted,
    failingSinceTime: timestampOf(health.failingSince),
  };
}
