import { UniqueConstraintViolationException } from "@mikro-orm/core";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import { maskViolations } from "../domain/masked-headers.ts";
import type { RateLimit } from "../domain/rate-limit.ts";
import type { Ordering, VerificationMethod } from "../domain/webhook.ts";
import { checkWebhookHeaders } from "../domain/webhook-headers.ts";
import { type FieldViolation, invalidFields, TellwireError } from "../errors.ts";
import { checkTargetUrl, type TargetPolicy } from "../outbound/target-url.ts";
import type { Webhook } from "../store/entities/webhook.ts";
import { type Principal, requireOperator } from "./access.ts";

/** What a caller may set of a webhook. */
export interface WebhookFields {
  projectIds: string[];
  /** Unique in the organization; empty: none. */
  name: string;
  description: string;
  url: string;
  /** Exact types, prefixes with `.*`, or `*`. */
  eventTypes: string[];
  format: WebhookFormat;
  headers: Record<string, string>;
  /** Sent with each event in formats that have a place for it; null: nothing. */
  config: Record<string, unknown> | null;
  retry: RetrySettings;
  /** After how many exhausted deliveries in a row the webhook is disabled; null: never. */
  disableAfterExhausted: number | null;
  verificationMethod: VerificationMethod;
  /** null: no limit. */
  rateLimit: RateLimit | null;
  ordering: Ordering;
}

/** null: the server's default. */
export interface RetrySettings {
  /** Before the second, third, … attempt. */
  delaysMs: number[] | null;
  /** The first attempt included. */
  maxAttempts: number | null;
  timeoutMs: number | null;
}

/**
 * Checks what the contract's own rules cannot say: the URL, the headers, and who may vouch for a receiver. Throws INVALID_FIELDS naming each
 * bad field, or OPERATOR_REQUIRED.
 */
export function checkWebhookFields(principal: Principal, fields: Partial<WebhookFields>, policy: TargetPolicy): void {
  const violations: FieldViolation[] = [];
  if (fields.url !== undefined) {
    for (const description of checkTargetUrl(fields.url, policy)) {
      violations.push({ field: "webhook.url", description });
    }
  }
  if (fields.headers !== undefined) {
    const description = "is the mask in which answers show a value: send the value itself";
    violations.push(
      ...checkWebhookHeaders(fields.headers, "webhook.headers"),
      ...maskViolations(fields.headers, { field: "webhook.headers", description }),
    );
  }
  if (fields.config && JSON.stringify(fields.config).length > maxConfigLength) {
    const description = `must be at most ${maxConfigLength} characters as JSON`;
    violations.push({ field: "webhook.config", description });
  }
  if (violations.length > 0) throw invalidFields(...violations);
  if (fields.verificationMethod === "VOUCHED") {
    requireOperator(principal, "vouching for a receiver (webhook.verification.method)");
  }
}

const maxConfigLength = 16 * 1024;

/** Throws INVALID_FIELDS where the webhook is to have no verification, and its format does not allow that. */
export function checkVerificationMethod({ format, verificationMethod }: WebhookFields): void {
  if (verificationMethod !== "NONE" || formatOf(format).verification.optional) return;
  const description = `NONE is not for the format ${format}, whose receivers prove that they want to be called`;
  throw invalidFields({ field: "webhook.verification.method", description });
}

/** The columns of the fields. */
export function webhookColumns({ name, retry, rateLimit, ...same }: WebhookFields) {
  const { delaysMs: retryDelaysMs, maxAttempts, timeoutMs } = retry;
  return {
    ...same,
    name: name === "" ? null : name,
    retryDelaysMs,
    maxAttempts,
    timeoutMs,
    rateLimitCount: rateLimit?.count ?? null,
    rateLimitPeriodMs: rateLimit?.periodMs ?? null,
  };
}

/** The fields as the columns have them: a change is made on these, and written back by webhookColumns. */
export function webhookFields(webhook: Webhook): WebhookFields {
  const retry = {
    delaysMs: webhook.retryDelaysMs ?? null,
    maxAttempts: webhook.maxAttempts ?? null,
    timeoutMs: webhook.timeoutMs ?? null,
  };
  return {
    projectIds: webhook.projectIds,
    name: webhook.name ?? "",
    description: webhook.description,
    url: webhook.url,
    eventTypes: webhook.eventTypes,
    format: webhook.format,
    headers: webhook.headers,
    config: webhook.config ?? null,
    retry,
    disableAfterExhausted: webhook.disableAfterExhausted ?? null,
    verificationMethod: webhook.verificationMethod,
    rateLimit: rateLimitOf(webhook),
    ordering: webhook.ordering,
  };
}

/** The rate limit as the columns have it; null where there is none. */
export function rateLimitOf({ rateLimitCount: count, rateLimitPeriodMs: periodMs }: Webhook): RateLimit | null {
  return count && periodMs ? { count, periodMs } : null;
}

/** WEBHOOK_NAME_TAKEN where the unique index refused a name, and the same error otherwise: the index decides, also between two at once. */
export function nameTakenOr(error: unknown, name: string | undefined): unknown {
  if (!(error instanceof UniqueConstraintViolationException) || !error.message.includes("webhook_name")) return error;
  const description = `the organization has a webhook named ${JSON.stringify(name ?? "")} already: choose another name`;
  return new TellwireError("WEBHOOK_NAME_TAKEN", `webhook.name: ${description}`, {
    fieldViolations: [{ field: "webhook.name", description }],
    cause: error,
  });
}
