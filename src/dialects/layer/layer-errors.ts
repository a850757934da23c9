import type { TellwireError } from "../../errors.ts";
import type { DialectAnswer, DialectFailure, FailureContext, InvalidField } from "../dialect.ts";
import { layerMediaType } from "./layer-accept.ts";

/** Layer's errors: each has one number and one status. */
export const layerErrors = {
  invalid_app_id: { code: 2, status: 403 },
  authentication_required: { code: 4, status: 401 },
  rate_limit_exceeded: { code: 7, status: 429 },
  invalid_request: { code: 10, status: 400 },
  internal_server_error: { code: 100, status: 500 },
  access_denied: { code: 101, status: 403 },
  not_found: { code: 102, status: 404 },
  missing_property: { code: 104, status: 422 },
  invalid_property: { code: 105, status: 422 },
  invalid_endpoint: { code: 106, status: 404 },
  invalid_header: { code: 107, status: 406 },
  method_not_allowed: { code: 109, status: 405 },
} as const;

export type LayerErrorId = keyof typeof layerErrors;

/** Where every error's `url` leads. */
export const layerDocumentation = "https://developer.layer.com/docs/webhooks";

/** A failure in Layer's envelope: `{code, id, message, url, data}`, where `data` stands only with something to say. */
export function describeLayerFailure(
  failure: DialectFailure,
  { requestId, method, path }: FailureContext,
): DialectAnswer {
  switch (failure.kind) {
    case "unauthenticated":
      return layerError("authentication_required", `Authentication is required: ${failure.message}.`, {
        headers: { "www-authenticate": "Bearer" },
      });
    case "no route":
      return layerError("invalid_endpoint", `There is no endpoint ${path}.`);
    case "method not allowed": {
      const allowed = failure.allowed.join(", ");
      return layerError("method_not_allowed", `The endpoint does not take ${method}, but ${allowed}.`, {
        headers: { allow: allowed },
      });
    }
    case "not acceptable":
      return invalidHeader("Accept", `must be "${layerMediaType}; version=X", X being 1.0, 2.0 or 3.0`);
    case "unsupported media type":
      return invalidHeader("Content-Type", "must be application/json, without a content encoding");
    case "malformed JSON":
      return layerError("invalid_request", `The body is not the JSON object that it must be: ${failure.message}.`);
    case "too large":
      return layerError("invalid_request", `The body is larger than ${failure.maxBytes} bytes.`);
    case "too slow":
      return layerError("invalid_request", `The body did not arrive whole within ${failure.timeoutMs} ms.`);
    case "invalid":
      return invalidProperty(failure.violations[0]);
    case "refused":
      return refused(failure.error);
    case "internal":
      return layerError("internal_server_error", "The server failed. It is not your request's fault: try again.", {
        data: { request_id: requestId },
      });
  }
}

/** Layer's errors have room for one property: the first one. */
function invalidProperty(violation: InvalidField | undefined): DialectAnswer {
  const [property = ""] = violation?.field.split(/[.[]/) ?? [];
  return violation?.missing
    ? layerError("missing_property", `The ${property} property cannot be omitted.`, { data: { property } })
    : layerError("invalid_property", `The ${property} property is invalid: ${violation?.message ?? ""}.`, {
        data: { property },
      });
}

function invalidHeader(header: string, rule: string): DialectAnswer {
  return layerError("invalid_header", `The ${header} header is invalid: it ${rule}.`, { data: { header } });
}

function refused(error: TellwireError): DialectAnswer {
  const { retryAfterMs } = error;
  const headers = retryAfterMs === undefined ? {} : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
  return layerError(idOf(error), messageOf(error), { headers });
}

/** What is not there is told in the words of this system: its ids are UUIDs, of apps and webhooks. */
function messageOf({ reason, message }: TellwireError): string {
  if (reason === "ORGANIZATION_NOT_FOUND") return "The token has no app with this id.";
  if (reason === "WEBHOOK_NOT_FOUND") return "The app has no webhook with this id.";
  return sentence(message);
}

function idOf({ reason, code }: TellwireError): LayerErrorId {
  if (reason === "ORGANIZATION_NOT_FOUND") return "invalid_app_id";
  if (reason === "BODY_TOO_LARGE" || reason === "HEADERS_TOO_LARGE" || reason === "URL_TOO_LONG") {
    return "invalid_request";
  }
  switch (code) {
    case "UNAUTHENTICATED":
      return "authentication_required";
    case "PERMISSION_DENIED":
      return "access_denied";
    case "NOT_FOUND":
      return "not_found";
    case "RESOURCE_EXHAUSTED":
      return "rate_limit_exceeded";
    case "UNIMPLEMENTED":
      return "invalid_endpoint";
    case "UNAVAILABLE":
    case "INTERNAL":
      return "internal_server_error";
    case "INVALID_ARGUMENT":
    case "FAILED_PRECONDITION":
    case "ALREADY_EXISTS":
    case "ABORTED":
    case "DEADLINE_EXCEEDED":
      return "invalid_request";
  }
}

function layerError(
  id: LayerErrorId,
  message: string,
  { data, headers = {} }: { data?: Record<string, string>; headers?: Record<string, string> } = {},
): DialectAnswer {
  const { code, status } = layerErrors[id];
  const body = { code, id, message, url: layerDocumentation, ...(data === undefined ? {} : { data }) };
  return { status, headers, body };
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
