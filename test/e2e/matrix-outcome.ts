import { createRegistry, fromBinary, type JsonValue } from "@bufbuild/protobuf";
import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import type { ServiceError } from "@grpc/grpc-js";
import { CodeSchema } from "../../gen/google/rpc/code_pb.ts";
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../../gen/google/rpc/status_pb.ts";

/** What came of a call, in a form that all protocols can be compared in. */
export type Outcome = { answer: JsonValue } | { error: SeenError };

export interface SeenError {
  /** As google.rpc.Code has it. */
  code: string;
  message: string;
  reason: string | undefined;
  domain: string | undefined;
  metadata: Record<string, string>;
  violations: { field: string; description: string }[];
}

/** What an error of Connect's clients says. */
export function connectOutcome(error: ConnectError): Outcome {
  const [info] = error.findDetails(ErrorInfoSchema);
  const [badRequest] = error.findDetails(BadRequestSchema);
  return { error: seen(error.code, error.rawMessage, info, badRequest) };
}

/** What an error of grpc-js says: its code and details, and the google.rpc.Status in `grpc-status-details-bin`, which must say the same. */
export function grpcJsOutcome({ code, details, metadata }: ServiceError): Outcome {
  const [bytes] = metadata.get("grpc-status-details-bin");
  if (!(bytes instanceof Uint8Array)) return { error: seen(code, details, undefined, undefined) };
  const status = fromBinary(StatusSchema, bytes);
  if (status.code !== code || status.message !== details) {
    throw new Error(`the status (${code}: ${details}) and its details (${status.code}: ${status.message}) differ`);
  }
  return { error: statusError(status) };
}

/** What a google.rpc.Status says, as a trailer or inside of an answer. */
export function statusError({ code, message, details }: Status): SeenError {
  return seen(code, message, unpack(details, ErrorInfoSchema), unpack(details, BadRequestSchema));
}

/** What the JSON error of REST (AIP-193) says; its code must be the status of HTTP. */
export function restOutcome(httpStatus: number, text: string): Outcome {
  const { error } = JSON.parse(text) as { error: RestError };
  if (error.code !== httpStatus) throw new Error(`HTTP ${httpStatus}, but ${text}`);
  const find = (type: string) => error.details.find((detail) => detail["@type"] === `type.googleapis.com/${type}`);
  const info = find(ErrorInfoSchema.typeName) as ErrorInfo | undefined;
  return { error: seen(error.status, error.message, info, find(BadRequestSchema.typeName) as BadRequest | undefined) };
}

interface RestError {
  code: number;
  status: string;
  message: string;
  details: { "@type": string }[];
}

type Info = Pick<ErrorInfo, "reason" | "domain"> & { metadata?: Record<string, string> };

/** The name of a code's number, as google.rpc.Code has it. */
export function codeName(number: number): string {
  return CodeSchema.values.find((value) => value.number === number)?.name ?? String(number);
}

function seen(
  code: number | string,
  message: string,
  info: Info | undefined,
  badRequest: Pick<BadRequest, "fieldViolations"> | undefined,
): SeenError {
  return {
    code: typeof code === "string" ? code : codeName(code),
    message,
    reason: info?.reason,
    domain: info?.domain,
    metadata: { ...info?.metadata },
    violations: (badRequest?.fieldViolations ?? []).map(({ field, description }) => ({ field, description })),
  };
}

/** The types of the details of errors, in trailers and inside of answers. */
export const detailTypes = createRegistry(ErrorInfoSchema, BadRequestSchema);

function unpack<Schema extends typeof ErrorInfoSchema | typeof BadRequestSchema>(details: Any[], schema: Schema) {
  const found = details.find(({ typeUrl }) => typeUrl.endsWith(`/${schema.typeName}`));
  return found && (anyUnpack(found, detailTypes) as (ErrorInfo & BadRequest) | undefined);
}

/** The same outcome without what differs from call to call: ids, times, secrets, etags. */
export function normalize(value: unknown, key = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => normalize(item));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, normalize(item, name)]));
  }
  if (typeof value !== "string") return value;
  if (changing.has(key) && value !== "") return `some ${key}`;
  return value
    .replaceAll(/\b(wh|evt|dlv|att|org|key|rcv|aud|ptk)_[0-9a-z]{26}\b/g, "$1_…")
    .replaceAll(/\bword\d+\b/g, "a word")
    .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, "a time");
}

const changing: ReadonlySet<string> = new Set([
  "etag",
  "signingSecret",
  "key",
  "prefix",
  "latency",
  "nextPageToken",
  "requestId",
  "token",
]);
