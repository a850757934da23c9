import { create } from "@bufbuild/protobuf";
import { timestampFromDate, type Value } from "@bufbuild/protobuf/wkt";
import type { Validator } from "@bufbuild/protovalidate";
import type { ServiceImpl } from "@connectrpc/connect";
import { SigningAlgorithm, type Webhook, WebhookStatus } from "../../../gen/tellwire/v1/webhook_pb.ts";
import { CreateWebhookRequestSchema, type WebhookService } from "../../../gen/tellwire/v1/webhook_service_pb.ts";
import { publicId } from "../../domain/ids.ts";
import { publicKeyText } from "../../domain/signing-key.ts";
import { invalidFields } from "../../errors.ts";
import { defaultOverlapMs } from "../../usecases/rotate-secret.ts";
import type { ShownSecret } from "../../usecases/signing-secret-fields.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { WebhookTarget } from "../../usecases/webhook-record.ts";
import { fieldViolations } from "../field-violations.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import { attemptMessage } from "../messages/delivery-message.ts";
import { newWebhook, webhookMessage } from "../messages/webhook-message.ts";
import { changedPaths, webhookPatch } from "../messages/webhook-patch.ts";
import { enumName, enumNames, jsonTextOf, millisecondsOf, optionalUuidOf, uuidOf } from "../messages/wire-values.ts";
import { createImportWebhooks, type ImportWebhooksOptions } from "./import-webhooks.ts";

/** WebhookService on the use cases. */
export function createWebhookHandlers(
  { webhooks }: UseCases,
  options: ImportWebhooksOptions,
): ServiceImpl<typeof WebhookService> {
  const { validator } = options;
  return {
    async createWebhook({ webhook }, context) {
      const { record, ...secret } = await webhooks.create(principalOf(context), newWebhook(required(webhook)));
      return { webhook: webhookMessage(record), ...secretMessage(secret) };
    },

    async getWebhook(request, context) {
      return { webhook: webhookMessage(await webhooks.get(principalOf(context), targetOf(request))) };
    },

    async listWebhooks(request, context) {
      const filters = {
        organizationId: optionalUuidOf("organization", request.organizationId, "organization_id"),
        statuses: enumNames(WebhookStatus, request.statuses, "statuses"),
        projectId: request.projectId,
      };
      const page = await webhooks.list(principalOf(context), filters, request);
      return { webhooks: page.items.map(webhookMessage), nextPageToken: page.nextPageToken };
    },

    async updateWebhook({ webhook: given, updateMask }, context) {
      const webhook = required(given);
      const target = {
        id: uuidOf("webhook", webhook.id, "webhook.id"),
        organizationId: optionalUuidOf("organization", webhook.organizationId, "webhook.organization_id"),
      };
      const paths = changedPaths(webhook, updateMask);
      checkChangedFields(validator, webhook, paths);
      const signingAlgorithm = enumName(SigningAlgorithm, webhook.signingAlgorithm);
      const change = { ...target, etag: webhook.etag, signingAlgorithm, patch: webhookPatch(webhook, paths) };
      return { webhook: webhookMessage(await webhooks.update(principalOf(context), change)) };
    },

    async deleteWebhook(request, context) {
      await webhooks.delete(principalOf(context), { ...targetOf(request), etag: request.etag });
      return {};
    },

    async rotateWebhookSecret(request, context) {
      const { previousExpiresAt, ...secret } = await webhooks.rotateSecret(principalOf(context), {
        ...targetOf(request),
        overlapMs: request.overlap === undefined ? defaultOverlapMs : millisecondsOf(request.overlap),
        signingSecret: request.signingSecret,
        signingAlgorithm: enumName(SigningAlgorithm, request.signingAlgorithm),
      });
      return previousExpiresAt === null
        ? secretMessage(secret)
        : { ...secretMessage(secret), previousSecretExpireTime: timestampFromDate(previousExpiresAt) };
    },

    async testWebhook(request, context) {
      const tested = await webhooks.test(principalOf(context), {
        ...targetOf(request),
        eventType: request.eventType,
        dataJson: optionalJson(request.data),
      });
      return {
        success: tested.success,
        deliveryId: publicId("delivery", tested.deliveryId),
        eventId: publicId("event", tested.eventId),
        attempt: attemptMessage(tested.attempt),
      };
    },

    async verifyWebhook(request, context) {
      const { verified, failure, record } = await webhooks.verify(principalOf(context), targetOf(request));
      return { verified, failure, webhook: webhookMessage(record) };
    },

    async pauseWebhook(request, context) {
      const record = await webhooks.pause(principalOf(context), { ...targetOf(request), reason: request.reason });
      return { webhook: webhookMessage(record) };
    },

    async resumeWebhook(request, context) {
      return { webhook: webhookMessage(await webhooks.resume(principalOf(context), targetOf(request))) };
    },

    importWebhooks: createImportWebhooks(webhooks.import, options),
  };
}

function targetOf({ id, organizationId }: { id: string; organizationId: string }): WebhookTarget {
  return {
    id: uuidOf("webhook", id, "id"),
    organizationId: optionalUuidOf("organization", organizationId, "organization_id"),
  };
}

function secretMessage({ signingSecret, publicKey }: ShownSecret): { signingSecret: string; publicKey: string } {
  return { signingSecret, publicKey: publicKey === null ? "" : publicKeyText(publicKey) };
}

function required(webhook: Webhook | undefined): Webhook {
  if (webhook !== undefined) return webhook;
  throw invalidFields({ field: "webhook", description: "value is required" });
}

/**
 * Holds the fields that an update changes to the rules of a creation. The contract exempts the message as a whole, because those that stay as
 * they are need not be sent.
 */
function checkChangedFields(validator: Validator, webhook: Webhook, paths: ReadonlySet<string>): void {
  const result = validator.validate(CreateWebhookRequestSchema, create(CreateWebhookRequestSchema, { webhook }));
  if (result.kind === "valid") return;
  if (result.kind === "error") throw result.error;
  const violations = fieldViolations(result.violations).filter(({ field }) => paths.has(topLevelField(field)));
  if (violations.length > 0) throw invalidFields(...violations);
}

/** `retry_policy` of `webhook.retry_policy.delays[0]`. */
function topLevelField(path: string): string {
  return path.split(/[.[]/)[1] ?? "";
}

function optionalJson(data: Value | undefined): string | undefined {
  return data === undefined ? undefined : jsonTextOf(data, "data");
}
