import { Code } from "@connectrpc/connect";

/** A failure that the gateway itself finds, before or after the call. It is answered with its HTTP status and an ErrorInfo with its reason. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly reason: GatewayReason;
  readonly code: Code;
  readonly httpStatus: number;
  readonly fieldViolations: readonly GatewayFieldViolation[];
  /** HTTP headers of the answer, such as `Allow`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(reason: GatewayReason, message: string, options: GatewayErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.reason = reason;
    ({ code: this.code, httpStatus: this.httpStatus } = gatewayReasons[reason]);
    this.fieldViolations = options.fieldViolations ?? [];
    this.headers = options.headers ?? {};
  }
}

export interface GatewayErrorOptions {
  cause?: unknown;
  fieldViolations?: readonly GatewayFieldViolation[];
  headers?: Readonly<Record<string, string>>;
}

/** One bad field or parameter: its path in the request message, in proto names (`webhook.url`, `events[3].type`), and what to do about it. */
export interface GatewayFieldViolation {
  field: string;
  description: string;
}

/** What the gateway itself refuses: `ErrorInfo.reason` (AIP-193), with the code of gRPC and the status of HTTP. */
export const gatewayReasons = {
  MALFORMED_PATH: { code: Code.InvalidArgument, httpStatus: 400 },
  MALFORMED_QUERY: { code: Code.InvalidArgument, httpStatus: 400 },
  MALFORMED_BODY: { code: Code.InvalidArgument, httpStatus: 400 },
  UNEXPECTED_BODY: { code: Code.InvalidArgument, httpStatus: 400 },
  INVALID_FIELDS: { code: Code.InvalidArgument, httpStatus: 400 },
  INVALID_TIMEOUT: { code: Code.InvalidArgument, httpStatus: 400 },
  ROUTE_NOT_FOUND: { code: Code.NotFound, httpStatus: 404 },
  REQUEST_TIMEOUT: { code: Code.DeadlineExceeded, httpStatus: 408 },
  METHOD_NOT_ALLOWED: { code: Code.Unimplemented, httpStatus: 405 },
  NOT_ACCEPTABLE: { code: Code.InvalidArgument, httpStatus: 406 },
  BODY_TOO_LARGE: { code: Code.ResourceExhausted, httpStatus: 413 },
  UNSUPPORTED_MEDIA_TYPE: { code: Code.InvalidArgument, httpStatus: 415 },
  UNSUPPORTED_ENCODING: { code: Code.InvalidArgument, httpStatus: 415 },
  CLIENT_GONE: { code: Code.Canceled, httpStatus: 499 },
  INTERNAL: { code: Code.Internal, httpStatus: 500 },
  DEADLINE_EXCEEDED: { code: Code.DeadlineExceeded, httpStatus: 504 },
} as const satisfies Record<string, { code: Code; httpStatus: number }>;

export type GatewayReason = keyof typeof gatewayReasons;

/** An INVALID_FIELDS error whose message names each bad field. */
export function invalidFieldsError(fieldViolations: readonly GatewayFieldViolation[]): GatewayError {
  const message = fieldViolations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return new GatewayError("INVALID_FIELDS", message, { fieldViolations });
}
