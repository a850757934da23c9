import {
  create,
  type DescMessage,
  fromBinary,
  type JsonObject,
  type JsonValue,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import { CodeSchema } from "../../gen/google/rpc/code_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { hasJsonFormOfItsOwn } from "./field-path.ts";
import { GatewayError } from "./gateway-error.ts";

/**
 * Turns an error into its answer: AIP-193 JSON, with its details typed by `@type`. A ConnectError keeps its code, message, details and
 * metadata (which become headers); a GatewayError is described by an ErrorInfo, and a BadRequest where it names fields; anything else is
 * INTERNAL, and nothing of it is told. A RetryInfo is also given as `Retry-After`.
 */
export function toErrorResponse(error: unknown, options: ErrorResponseOptions): ErrorResponse {
  if (error instanceof ConnectError) return describe(error, httpStatusOf(error.code), options.registry);
  const known =
    error instanceof GatewayError ? error : new GatewayError("INTERNAL", "internal error", { cause: error });
  const described = describe(asConnectError(known, options.errorDomain), known.httpStatus, options.registry);
  for (const [name, value] of Object.entries(known.headers)) described.header.set(name, value);
  return described;
}

/** A GatewayError as what a Connect handler would throw: its reason in an ErrorInfo, its fields in a BadRequest. */
export function asConnectError(error: GatewayError, errorDomain: string): ConnectError {
  const details: ConnectError["details"] = [
    { desc: ErrorInfoSchema, value: { reason: error.reason, domain: errorDomain } },
  ];
  if (error.fieldViolations.length > 0) {
    details.push({ desc: BadRequestSchema, value: { fieldViolations: [...error.fieldViolations] } });
  }
  const connectError = new ConnectError(error.message, error.code, undefined, undefined, error);
  connectError.details = details;
  return connectError;
}

export interface ErrorResponseOptions {
  /** The `domain` of the gateway's own ErrorInfo, such as `tellwire.example`. */
  readonly errorDomain: string;
  /** Knows the types of details that come as bytes, and those inside google.protobuf.Any. */
  readonly registry: Registry;
}

export interface ErrorResponse {
  readonly httpStatus: number;
  readonly header: Headers;
  readonly body: JsonObject;
}

/** The HTTP status of a code of gRPC, as google/rpc/code.proto has it. */
function httpStatusOf(code: Code): number {
  return httpStatuses[code] ?? 500;
}

const httpStatuses: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

function describe(error: ConnectError, httpStatus: number, registry: Registry): ErrorResponse {
  const header = new Headers();
  mergeNonProtocolHeaders(header, error.metadata);
  const retryAfter = retryAfterSeconds(error);
  if (retryAfter !== undefined && !header.has("retry-after")) header.set("retry-after", String(retryAfter));
  const details = error.details.map((detail) => detailToJson(detail, registry));
  const status = CodeSchema.value[error.code]?.name ?? "UNKNOWN";
  return { httpStatus, header, body: { error: { code: httpStatus, message: error.rawMessage, status, details } } };
}

function detailToJson(detail: ConnectError["details"][number], registry: Registry): JsonValue {
  if ("desc" in detail) {
    return typed(detail.desc, toJson(detail.desc, create(detail.desc, detail.value), { registry }));
  }
  const known = registry.getMessage(detail.type);
  if (known !== undefined) {
    try {
      return typed(known, toJson(known, fromBinary(known, detail.value), { registry }));
    } catch {
      // Bytes that are not what their type says: given as they are, below.
    }
  }
  return { "@type": `type.googleapis.com/${detail.type}`, value: base64Encode(detail.value) };
}

/** The JSON form of google.protobuf.Any. */
function typed(descriptor: DescMessage, json: JsonValue): JsonObject {
  const type = { "@type": `type.googleapis.com/${descriptor.typeName}` };
  if (hasJsonFormOfItsOwn(descriptor) || typeof json !== "object" || json === null || Array.isArray(json)) {
    return { ...type, value: json };
  }
  return { ...type, ...json };
}

function retryAfterSeconds(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  if (delay === undefined) return undefined;
  return Math.max(0, Number(delay.seconds) + (delay.nanos > 0 ? 1 : 0));
}
