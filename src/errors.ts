/**
 * The one error of the house: something that a caller did, or that happened to us, with a code of gRPC and a reason from the catalogue.
 * Every front door turns it into its own shape. What is not a TellwireError is a bug, and answers as INTERNAL.
 */
export class TellwireError extends Error {
  override readonly name = "TellwireError";
  readonly reason: Reason;
  readonly code: ErrorCode;
  readonly fieldViolations: readonly FieldViolation[];
  /** Facts about the error for machines, such as the id that was not found. Never a secret. */
  readonly metadata: Readonly<Record<string, string>>;
  /** When a further try makes sense, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, options: TellwireErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.code = reasons[reason];
    this.fieldViolations = options.fieldViolations ?? [];
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

export interface TellwireErrorOptions {
  cause?: unknown;
  fieldViolations?: readonly FieldViolation[];
  metadata?: Readonly<Record<string, string>>;
  retryAfterMs?: number;
}

/** One invalid field: its path in the request, in proto names (`webhook.url`, `events[3].type`), and what to do about it. */
export interface FieldViolation {
  field: string;
  description: string;
}

/** The codes of gRPC (google.rpc.Code) that this service answers with. */
export type ErrorCode =
  | "INVALID_ARGUMENT"
  | "FAILED_PRECONDITION"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "ABORTED"
  | "UNAUTHENTICATED"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "UNAVAILABLE"
  | "DEADLINE_EXCEEDED"
  | "UNIMPLEMENTED"
  | "INTERNAL";

/** The catalogue of reasons (`ErrorInfo.reason`, AIP-193), each with its one code. */
export const reasons = {
  INVALID_FIELDS: "INVALID_ARGUMENT",
  INVALID_PAGE_TOKEN: "INVALID_ARGUMENT",
  ORGANIZATION_REQUIRED: "INVALID_ARGUMENT",
  KEY_MISSING: "UNAUTHENTICATED",
  KEY_INVALID: "UNAUTHENTICATED",
  CLIENT_CERTIFICATE_REFUSED: "UNAUTHENTICATED",
  OPERATOR_REQUIRED: "PERMISSION_DENIED",
  SCOPE_MISSING: "PERMISSION_DENIED",
  WHOLE_ORGANIZATION_REQUIRED: "PERMISSION_DENIED",
  API_KEY_REQUIRED: "PERMISSION_DENIED",
  WEBHOOK_NOT_FOUND: "NOT_FOUND",
  EVENT_NOT_FOUND: "NOT_FOUND",
  DELIVERY_NOT_FOUND: "NOT_FOUND",
  ORGANIZATION_NOT_FOUND: "NOT_FOUND",
  API_KEY_NOT_FOUND: "NOT_FOUND",
  RECOVERY_NOT_FOUND: "NOT_FOUND",
  PROJECT_NOT_FOUND: "NOT_FOUND",
  AUDIT_ENTRY_NOT_FOUND: "NOT_FOUND",
  WEBHOOK_NAME_TAKEN: "ALREADY_EXISTS",
  ORGANIZATION_EXISTS: "ALREADY_EXISTS",
  WEBHOOK_ID_TAKEN: "ALREADY_EXISTS",
  RECOVERY_RUNNING: "ALREADY_EXISTS",
  // Nothing is gained by trying again with the same key, so it is no ABORTED.
  IDEMPOTENCY_CONFLICT: "ALREADY_EXISTS",
  IDEMPOTENCY_IN_PROGRESS: "ABORTED",
  ETAG_MISMATCH: "ABORTED",
  WEBHOOK_UNVERIFIED: "FAILED_PRECONDITION",
  WEBHOOK_NOT_ACTIVE: "FAILED_PRECONDITION",
  SECRET_NOT_SHOWN: "FAILED_PRECONDITION",
  WEBHOOK_CHANGED_HERE: "FAILED_PRECONDITION",
  DELIVERY_NOT_SCHEDULED: "FAILED_PRECONDITION",
  RECOVERY_NOT_RUNNING: "FAILED_PRECONDITION",
  PAYLOAD_EXPIRED: "FAILED_PRECONDITION",
  RATE_LIMITED: "RESOURCE_EXHAUSTED",
  QUOTA_EXCEEDED: "RESOURCE_EXHAUSTED",
  BODY_TOO_LARGE: "RESOURCE_EXHAUSTED",
  HEADERS_TOO_LARGE: "RESOURCE_EXHAUSTED",
  URL_TOO_LONG: "RESOURCE_EXHAUSTED",
  REQUEST_TIMEOUT: "DEADLINE_EXCEEDED",
  MALFORMED_REQUEST: "INVALID_ARGUMENT",
  BROKER_UNAVAILABLE: "UNAVAILABLE",
  DATABASE_UNAVAILABLE: "UNAVAILABLE",
  JWKS_UNAVAILABLE: "UNAVAILABLE",
  SHUTTING_DOWN: "UNAVAILABLE",
  INCOMPATIBLE_STREAM: "FAILED_PRECONDITION",
  CONFIG_INVALID: "FAILED_PRECONDITION",
  SECRETS_KEY_MISMATCH: "INTERNAL",
  INTERNAL: "INTERNAL",
} as const satisfies Record<string, ErrorCode>;

export type Reason = keyof typeof reasons;

/**
 * An INVALID_FIELDS error whose message names each bad field. Of many the first are told, and long ones cut short: an error travels in the
 * trailers of gRPC, of which clients take 8 KiB.
 */
export function invalidFields(...found: FieldViolation[]): TellwireError {
  const fieldViolations = firstOf(
    found.map(({ field, description }) => ({ field: cut(field), description: cut(description) })),
  );
  const told = fieldViolations.map(({ field, description }) => `${field}: ${description}`);
  const left = found.length - told.length;
  const message = [...told, ...(left === 0 ? [] : [`and ${left} more`])].join("; ");
  return new TellwireError("INVALID_FIELDS", message, { fieldViolations });
}

const maxViolations = 20;
const maxLength = 2_000;
const maxTextLength = 300;

function firstOf(violations: FieldViolation[]): FieldViolation[] {
  let length = 0;
  const end = violations.findIndex(({ field, description }, index) => {
    length += field.length + description.length;
    return index > 0 && (index === maxViolations || length > maxLength);
  });
  return end === -1 ? violations : violations.slice(0, end);
}

function cut(text: string): string {
  return text.length <= maxTextLength ? text : `${text.slice(0, maxTextLength).toWellFormed()}…`;
}
