import type { TellwireError } from "../../errors.ts";
import type { DialectAnswer, DialectFailure, InvalidField } from "../dialect.ts";

/**
 * This system's answer to a failure: `{"error":"for people","message":"FOR_MACHINES"}`. Only the query of a list has an envelope of its own
 * when it is wrong (`isList`).
 */
export function describeVerifikFailure(failure: DialectFailure, { isList }: { isList: boolean }): DialectAnswer {
  switch (failure.kind) {
    case "unauthenticated":
      return { ...refusal(401, "Unauthorized", "UNAUTHORIZED"), headers: { "www-authenticate": "Bearer" } };
    case "no route":
      return refusal(404, "There is nothing at this path", "NOT_FOUND");
    case "method not allowed": {
      const allow = failure.allowed.join(", ");
      return { ...refusal(405, `Method not allowed: use ${allow}`, "METHOD_NOT_ALLOWED"), headers: { allow } };
    }
    case "not acceptable":
      return refusal(406, "The answer is application/json", "NOT_ACCEPTABLE");
    case "unsupported media type":
      return refusal(415, "The body must be application/json without a content-encoding", "UNSUPPORTED_MEDIA_TYPE");
    case "malformed JSON":
      return refusal(400, `The body is not JSON: ${failure.message}`, "INVALID_PARAMETERS");
    case "too large":
      return refusal(413, `The body is larger than ${failure.maxBytes} bytes`, "PAYLOAD_TOO_LARGE");
    case "too slow":
      return refusal(408, `The body did not arrive whole within ${failure.timeoutMs} ms`, "REQUEST_TIMEOUT");
    case "invalid":
      return isList ? invalidQuery : invalidFieldsAnswer(failure.violations);
    case "refused":
      return describeError(failure.error);
    case "internal":
      return refusal(500, "Internal server error", "INTERNAL_SERVER_ERROR");
  }
}

function refusal(status: number, error: string, message: string): DialectAnswer {
  return { status, body: { error, message } };
}

const invalidQuery: DialectAnswer = {
  status: 400,
  body: { success: false, error: "Invalid query parameters", code: "INVALID_PARAMETERS" },
};

function invalidFieldsAnswer(violations: readonly Omit<InvalidField, "missing">[]): DialectAnswer {
  if (violations.some(({ field }) => field === "url")) {
    return refusal(400, "Invalid webhook URL", "INVALID_WEBHOOK_URL");
  }
  const sentences = violations.map(({ field, message }) =>
    field === "" ? `the body ${message}` : `${field} ${message}`,
  );
  return refusal(400, sentences.join("; "), "INVALID_PARAMETERS");
}

function describeError(error: TellwireError): DialectAnswer {
  const answer = answerOf(error);
  if (error.retryAfterMs === undefined) return answer;
  return { ...answer, headers: { ...answer.headers, "retry-after": `${Math.ceil(error.retryAfterMs / 1000)}` } };
}

function answerOf(error: TellwireError): DialectAnswer {
  switch (error.reason) {
    case "WEBHOOK_NOT_FOUND":
      return refusal(404, "Webhook not found", "WEBHOOK_NOT_FOUND");
    case "WEBHOOK_NAME_TAKEN":
      return refusal(409, "Webhook name already exists", "WEBHOOK_NAME_EXISTS");
    case "ORGANIZATION_REQUIRED":
      return refusal(400, "An operator's token belongs to no client: use a client's own", "INVALID_PARAMETERS");
    case "INVALID_FIELDS":
      return invalidFieldsAnswer(error.fieldViolations.map(inWordsOfVerifik));
    default:
      return refusal(
        statuses[error.code],
        error.message,
        error.code === "UNAVAILABLE" ? "SERVICE_UNAVAILABLE" : error.reason,
      );
  }
}

/** The fields of a webhook that have other names here. */
const names: Readonly<Record<string, string>> = {
  "webhook.event_types": "events",
  "webhook.project_ids": "link",
  "webhook.signing_secret": "secret",
  signing_secret: "secret",
};

function inWordsOfVerifik({ field, description }: TellwireError["fieldViolations"][number]) {
  return { field: names[field] ?? field.replace(/^webhook\./, ""), message: description };
}

const statuses: Readonly<Record<TellwireError["code"], number>> = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 409,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  ABORTED: 409,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
  DEADLINE_EXCEEDED: 504,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
};
