import type { WebhookStatus } from "../../domain/webhook.ts";
import type { FieldViolation, TellwireError } from "../../errors.ts";
import type { DialectAnswer, DialectFailure, FailureContext } from "../dialect.ts";
import { statusOf } from "./layers-endpoint.ts";

/** The codes of this system's errors, each with its status. Those from METHOD_NOT_ALLOWED on are not in its documents. */
export const layersErrors = {
  UNAUTHENTICATED: 401,
  FORBIDDEN_SCOPE: 403,
  NOT_FOUND: 404,
  IDEMPOTENCY_CONFLICT: 409,
  VALIDATION: 422,
  RATE_LIMITED: 429,
  METHOD_NOT_ALLOWED: 405,
  REQUEST_TIMEOUT: 408,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const;

export type LayersErrorCode = keyof typeof layersErrors;

/** This system's answer to a failure: `{"error":{code, message, requestId, details}}`. The details of VALIDATION name each bad field. */
export function describeLayersFailure(
  failure: DialectFailure,
  { requestId, method, path }: FailureContext,
): DialectAnswer {
  const { code, message, details = {}, headers = {} } = describe(failure, { method, path });
  return { status: layersErrors[code], headers, body: { error: { code, message, requestId, details } } };
}

interface Described {
  code: LayersErrorCode;
  message: string;
  details?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
}

function describe(failure: DialectFailure, { method, path }: { method: string; path: string }): Described {
  switch (failure.kind) {
    case "unauthenticated":
      return {
        code: "UNAUTHENTICATED",
        message: `${failure.message}: send a key as X-Api-Key or Authorization: Bearer`,
        headers: { "www-authenticate": "Bearer" },
      };
    case "no route":
      return { code: "NOT_FOUND", message: `nothing is served at ${path}` };
    case "method not allowed": {
      const allow = failure.allowed.join(", ");
      return {
        code: "METHOD_NOT_ALLOWED",
        message: `${path} does not take ${method}: use ${allow}`,
        headers: { allow },
      };
    }
    case "not acceptable":
      return { code: "VALIDATION", message: "the answer is application/json", details: { accept: failure.accept } };
    case "unsupported media type":
      return {
        code: "UNSUPPORTED_MEDIA_TYPE",
        message: "the body must be application/json without a content-encoding",
      };
    case "malformed JSON":
      return validation([{ field: "body", description: `must be JSON in UTF-8: ${failure.message}` }]);
    case "too large":
      return { code: "PAYLOAD_TOO_LARGE", message: `the body is larger than ${failure.maxBytes} bytes` };
    case "too slow":
      return { code: "REQUEST_TIMEOUT", message: `the body did not arrive whole within ${failure.timeoutMs} ms` };
    case "invalid":
      return validation(
        failure.violations.map(({ field, message }) => ({ field: field || "body", description: message })),
      );
    case "refused":
      return refused(failure.error);
    case "internal":
      return { code: "INTERNAL", message: "the server failed: try again, and name the requestId if it stays so" };
  }
}

function validation(violations: readonly FieldViolation[]): Described {
  return {
    code: "VALIDATION",
    message: violations.map(({ field, description }) => `${field} ${description}`).join("; "),
    details: Object.fromEntries(violations.map(({ field, description }) => [field, description])),
  };
}

function refused(error: TellwireError): Described {
  switch (error.reason) {
    case "WEBHOOK_NOT_FOUND":
      return { code: "NOT_FOUND", message: "there is no webhook endpoint with this id" };
    case "DELIVERY_NOT_FOUND":
      return { code: "NOT_FOUND", message: "there is no webhook delivery with this id" };
    case "PROJECT_NOT_FOUND":
      return {
        code: "NOT_FOUND",
        message: "projectId does not belong to this organization",
        details: { projectId: error.metadata.project_id ?? "" },
      };
    case "ORGANIZATION_REQUIRED":
      return {
        code: "FORBIDDEN_SCOPE",
        message: "an operator's key belongs to no organization: use an organization's",
      };
    case "WEBHOOK_NOT_ACTIVE":
    case "WEBHOOK_UNVERIFIED":
      return notActive(error);
    case "BODY_TOO_LARGE":
      return { code: "PAYLOAD_TOO_LARGE", message: error.message };
    default:
      return byCode(error);
  }
}

function notActive({ metadata }: TellwireError): Described {
  const status = statusOf[(metadata.status ?? "UNVERIFIED") as WebhookStatus];
  const fix =
    status === "auto_paused" ? "set its status to active first" : "its receiver has not agreed to be called yet";
  return validation([{ field: "status", description: `is ${status}: ${fix}` }]);
}

function byCode(error: TellwireError): Described {
  const { code, message, retryAfterMs } = error;
  const headers = retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
  switch (code) {
    case "UNAUTHENTICATED":
      return { code: "UNAUTHENTICATED", message };
    case "PERMISSION_DENIED":
      return { code: "FORBIDDEN_SCOPE", message };
    case "NOT_FOUND":
      return { code: "NOT_FOUND", message };
    case "ALREADY_EXISTS":
    case "ABORTED":
      return { code: "IDEMPOTENCY_CONFLICT", message, headers };
    case "INVALID_ARGUMENT":
    case "FAILED_PRECONDITION":
      return error.fieldViolations.length > 0
        ? validation(error.fieldViolations.map(inWordsOfLayers))
        : { code: "VALIDATION", message };
    case "RESOURCE_EXHAUSTED":
      // The header is promised, whoever limits. A quota that is full stays so until somebody does something.
      return {
        code: "RATE_LIMITED",
        message,
        headers: { "retry-after": error.reason === "QUOTA_EXCEEDED" ? "3600" : "1", ...headers },
      };
    case "UNAVAILABLE":
    case "DEADLINE_EXCEEDED":
      return { code: "UNAVAILABLE", message, headers: { "retry-after": "1", ...headers } };
    case "UNIMPLEMENTED":
    case "INTERNAL":
      return { code: "INTERNAL", message };
  }
}

/** The fields that have other names here. */
const names: Readonly<Record<string, string>> = {
  "webhook.event_types": "events",
  "webhook.project_ids": "projectId",
  data: "payload",
  page_token: "cursor",
};

function inWordsOfLayers({ field, description }: FieldViolation): FieldViolation {
  const isCursor = field === "page_token";
  return {
    field: names[field] ?? field.replace(/^webhook\./, ""),
    description: isCursor ? "must be the nextCursor of the page before, with the same filters" : description,
  };
}
