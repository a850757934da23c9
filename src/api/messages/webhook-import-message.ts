import type { WebhookImport } from "../../../gen/tellwire/v1/webhook_import_pb.ts";
import {
  SigningAlgorithm,
  VerificationMethod,
  type WebhookHealth,
  WebhookStatus,
} from "../../../gen/tellwire/v1/webhook_pb.ts";
import { formatOf } from "../../domain/formats/catalogue.ts";
import { type FieldViolation, invalidFields } from "../../errors.ts";
import type { ImportedHealth, ImportedWebhook } from "../../usecases/imported-webhook.ts";
import { webhookFieldsOf } from "./webhook-message.ts";
import { dateOf, enumName, uuidOf } from "./wire-values.ts";

/** What an import asks for. The rules of the message hold already. Throws INVALID_FIELDS naming what is missing. */
export function importedWebhook({ webhook, previousSecrets }: WebhookImport): ImportedWebhook {
  if (webhook === undefined) throw invalidFields({ field: "webhook", description: "value is required" });
  const status = enumName(WebhookStatus, webhook.status);
  const missing = [
    ...missingIf(webhook.id === "", "webhook.id", "name the id that the webhook had, as wh_… or a UUID"),
    ...missingIf(webhook.organizationId === "", "webhook.organization_id", "name the organization that owns it"),
    ...missingIf(webhook.signingSecret === "", "webhook.signing_secret", "give the secret that its receiver knows"),
    ...previousSecrets.flatMap(({ expireTime }, index) =>
      missingIf(expireTime === undefined, `previous_secrets[${index}].expire_time`, "say until when the secret signs"),
    ),
  ];
  if (status === undefined || missing.length > 0) {
    throw invalidFields(...missing, ...missingIf(status === undefined, "webhook.status", "say which status it had"));
  }
  const fields = webhookFieldsOf(webhook);
  const isMethodOpen = (webhook.verification?.method ?? 0) === VerificationMethod.UNSPECIFIED;
  return {
    ...fields,
    headers: { ...fields.headers },
    verificationMethod:
      isMethodOpen && formatOf(fields.format).verification.optional ? "NONE" : fields.verificationMethod,
    id: uuidOf("webhook", webhook.id, "webhook.id"),
    organizationId: uuidOf("organization", webhook.organizationId, "webhook.organization_id"),
    signingSecret: webhook.signingSecret,
    signingAlgorithm: enumName(SigningAlgorithm, webhook.signingAlgorithm),
    previousSecrets: previousSecrets.map(({ signingSecret, expireTime }, index) => ({
      signingSecret,
      expiresAt: dateOf(expireTime, `previous_secrets[${index}].expire_time`) ?? new Date(0),
    })),
    status,
    statusReason: webhook.statusReason,
    verifiedAt: dateOf(webhook.verification?.verifyTime, "webhook.verification.verify_time") ?? null,
    createdAt: dateOf(webhook.createTime, "webhook.create_time") ?? null,
    updatedAt: dateOf(webhook.updateTime, "webhook.update_time") ?? null,
    health: webhook.health === undefined ? null : importedHealth(webhook.health),
  };
}

function importedHealth(health: WebhookHealth): ImportedHealth {
  const counters = {
    consecutiveFailures: count(health.consecutiveFailures, "consecutive_failures"),
    totalAttempts: count(Number(health.totalAttempts), "total_attempts"),
    failedAttempts: count(Number(health.failedAttempts), "failed_attempts"),
    consecutiveExhausted: count(health.consecutiveExhausted, "consecutive_exhausted"),
  };
  return {
    ...counters,
    lastSuccessAt: dateOf(health.lastSuccessTime, "webhook.health.last_success_time") ?? null,
    lastFailureAt: dateOf(health.lastFailureTime, "webhook.health.last_failure_time") ?? null,
    failingSince: dateOf(health.failingSinceTime, "webhook.health.failing_since_time") ?? null,
    lastError: health.lastError,
  };
}

function count(value: number, name: string): number {
  if (value >= 0 && Number.isSafeInteger(value)) return value;
  throw invalidFields({ field: `webhook.health.${name}`, description: "must be a count: 0 or more" });
}

function missingIf(isMissing: boolean, field: string, fix: string): FieldViolation[] {
  return isMissing ? [{ field, description: `value is required: ${fix}` }] : [];
}
