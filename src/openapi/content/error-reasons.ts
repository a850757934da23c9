import { createRegistry } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { CodeSchema } from "../../../gen/google/rpc/code_pb.ts";
import { type Reason, reasons } from "../../errors.ts";
import { toErrorResponse } from "../../gateway/error-response.ts";
import { type GatewayReason, gatewayReasons } from "../../gateway/gateway-error.ts";
import type { ErrorReason } from "../error-responses.ts";

/** Every reason that an answer of the REST API to a documented operation can carry, with its code and HTTP status from the two catalogues. */
export function errorReasons(): ErrorReason[] {
  return Object.entries(descriptions).flatMap(([reason, described]) => {
    if (described === undefined) return [];
    const { code, httpStatus } = isGatewayReason(reason) ? gatewayReasons[reason] : answerOf(reason as Reason);
    return [{ reason, code: CodeSchema.value[code]?.name ?? "", httpStatus, ...described }];
  });
}

/** With a status where the server answers with another one than the code stands for. */
type Described = Pick<ErrorReason, "description" | "only"> & { httpStatus?: number };

/** Undefined: no caller of a documented operation sees it. A new reason has to find its place here. */
const descriptions: Readonly<Record<Reason | GatewayReason, Described | undefined>> = {
  INVALID_FIELDS: {
    description: "fields or parameters are not as they must be; BadRequest.fieldViolations names each",
  },
  INVALID_PAGE_TOKEN: { description: "the page token is not one of this list with these filters" },
  ORGANIZATION_REQUIRED: { description: "an operator's key has to name the organization" },
  MALFORMED_PATH: { description: "the path holds a malformed percent-encoding" },
  MALFORMED_QUERY: { description: "the query holds a malformed percent-encoding" },
  MALFORMED_BODY: { description: "the body is not JSON in UTF-8", only: "body" },
  UNEXPECTED_BODY: { description: "there is a body where the operation takes none" },
  MALFORMED_REQUEST: { description: "the request is not HTTP as it must be" },
  INVALID_TIMEOUT: { description: "a header with a timeout cannot be read" },
  WEBHOOK_UNVERIFIED: { description: "the webhook is not verified yet", only: "change" },
  WEBHOOK_NOT_ACTIVE: { description: "the webhook is paused or disabled", only: "change" },
  DELIVERY_NOT_SCHEDULED: { description: "the delivery is finished already", only: "change" },
  RECOVERY_NOT_RUNNING: { description: "the recovery has ended already", only: "change" },
  PAYLOAD_EXPIRED: { description: "the event's data is no longer kept", only: "change" },
  KEY_MISSING: { description: "send a key, as the header X-Api-Key: <key> or Authorization: Bearer <key>" },
  KEY_INVALID: { description: "the key or token is not known, was revoked, or has expired" },
  API_KEY_REQUIRED: {
    description: "a caller with a token of another issuer cannot make portal tokens",
    only: "change",
  },
  SCOPE_MISSING: { description: "the key does not have the scope that the operation needs" },
  WHOLE_ORGANIZATION_REQUIRED: { description: "the caller is kept to one project, and this is about more than that" },
  OPERATOR_REQUIRED: { description: "only an operator's key may do this" },
  ROUTE_NOT_FOUND: { description: "nothing is served at this path" },
  WEBHOOK_NOT_FOUND: { description: "there is no such webhook, or it belongs to another organization" },
  EVENT_NOT_FOUND: { description: "there is no such event, or it belongs to another organization" },
  DELIVERY_NOT_FOUND: { description: "there is no such delivery, or it belongs to another organization" },
  ORGANIZATION_NOT_FOUND: { description: "there is no such organization, or the key belongs to another one" },
  API_KEY_NOT_FOUND: { description: "the organization has no such key" },
  RECOVERY_NOT_FOUND: { description: "there is no such recovery, or it belongs to another organization" },
  AUDIT_ENTRY_NOT_FOUND: { description: "there is no such audit entry, or it belongs to another organization" },
  PROJECT_NOT_FOUND: { description: "the organization lists its projects, and this is none of them", only: "change" },
  NOT_ACCEPTABLE: { description: "the Accept header leaves out what the answer is" },
  WEBHOOK_NAME_TAKEN: { description: "another webhook of the organization has the name", only: "change" },
  RECOVERY_RUNNING: {
    description: "a recovery of the webhook with this scope is under way already: wait for it, or cancel it",
    only: "change",
  },
  ORGANIZATION_EXISTS: { description: "there is an organization with this id already", only: "change" },
  IDEMPOTENCY_CONFLICT: {
    description: "the Idempotency-Key was used with another request: take a new one",
    only: "change",
  },
  IDEMPOTENCY_IN_PROGRESS: {
    description: "the first request with this Idempotency-Key is still under way: try again soon",
    only: "change",
  },
  ETAG_MISMATCH: { description: "somebody else changed the webhook: read it again, then try again", only: "change" },
  RATE_LIMITED: { description: "too many calls, or too many events, in this time: try again after Retry-After" },
  QUOTA_EXCEEDED: {
    description: "the organization has, or has published, as much as it may; the message says of what",
    only: "change",
  },
  BODY_TOO_LARGE: { description: "the body is larger than the server takes", only: "body" },
  URL_TOO_LONG: { description: "the URL is longer than the server takes", httpStatus: 414 },
  HEADERS_TOO_LARGE: { description: "the headers are larger than the server takes", httpStatus: 431 },
  REQUEST_TIMEOUT: { description: "the request did not arrive in time" },
  UNSUPPORTED_MEDIA_TYPE: { description: "the Content-Type is not application/json", only: "body" },
  UNSUPPORTED_ENCODING: { description: "the Content-Encoding is none of gzip and br", only: "body" },
  INTERNAL: { description: "something went wrong in the server; its log has the details under the request id" },
  SECRETS_KEY_MISMATCH: { description: "the server cannot read its secrets: whoever runs it has to mend its keys" },
  BROKER_UNAVAILABLE: { description: "the broker cannot be reached: try again soon" },
  DATABASE_UNAVAILABLE: { description: "the database cannot be reached: try again soon" },
  JWKS_UNAVAILABLE: { description: "the keys of the token's issuer cannot be read: try again soon" },
  SHUTTING_DOWN: { description: "the server is shutting down: try again" },
  DEADLINE_EXCEEDED: { description: "the time that the request allowed has passed" },
  // Certificates are shown on the gRPC port alone.
  CLIENT_CERTIFICATE_REFUSED: undefined,
  // Documented operations are called by their own method.
  METHOD_NOT_ALLOWED: undefined,
  // Nobody is there to read it.
  CLIENT_GONE: undefined,
  // By the APIs of other systems alone.
  SECRET_NOT_SHOWN: undefined,
  // In the results of an import, which succeeds as a call.
  WEBHOOK_ID_TAKEN: undefined,
  WEBHOOK_CHANGED_HERE: undefined,
  // At the start of the server alone.
  CONFIG_INVALID: undefined,
  INCOMPATIBLE_STREAM: undefined,
};

function isGatewayReason(reason: string): reason is GatewayReason {
  return reason in gatewayReasons;
}

const registry = createRegistry();

/** Code and status as the gateway answers an error of the house. */
function answerOf(reason: Reason): { code: Code; httpStatus: number } {
  const code: Code = CodeSchema.values.find(({ name }) => name === reasons[reason])?.number ?? Code.Unknown;
  const { httpStatus } = toErrorResponse(new ConnectError("", code), { errorDomain: "", registry });
  return { code, httpStatus };
}
