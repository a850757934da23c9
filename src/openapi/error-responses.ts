import { STATUS_CODES } from "node:http";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import type { MessageSchemas } from "./message-schemas.ts";
import type { OperationTraits } from "./operation.ts";
import { asSentence, paragraphs } from "./prose.ts";

/** The answers to calls that fail, in the form of AIP-193: one component for each status, with its reasons. */
export function createErrorResponses(options: ErrorResponsesOptions, schemas: MessageSchemas): ErrorResponses {
  const { reasons, headers = {} } = options;
  const byStatus = Map.groupBy(
    [...reasons].sort((one, other) => one.httpStatus - other.httpStatus),
    ({ httpStatus }) => httpStatus,
  );
  return {
    schema: errorSchema(options, schemas),
    components: Object.fromEntries(
      [...byStatus].map(([status, group]) => [
        componentName(status),
        {
          description: describe(status, group),
          ...(headers[status] === undefined ? {} : { headers: headers[status] }),
          content: {
            "application/json": {
              schema: { $ref: "#/components/schemas/Error" },
              examples: Object.fromEntries(group.map((each) => [each.reason, { value: exampleOf(each, options) }])),
            },
          },
        },
      ]),
    ),
    of: (traits) =>
      Object.fromEntries(
        [...byStatus]
          .filter(([, group]) => group.some((reason) => canOccur(reason, traits)))
          .map(([status]) => [status, { $ref: `#/components/responses/${componentName(status)}` }]),
      ),
  };
}

export interface ErrorResponses {
  /** The component `Error`. */
  readonly schema: JsonObject;
  /** By name. */
  readonly components: JsonObject;
  /** References by status, for an operation. */
  of(traits: OperationTraits): JsonObject;
}

export interface ErrorResponsesOptions {
  readonly reasons: readonly ErrorReason[];
  /** The messages that an error carries as details; the first holds reason and domain. */
  readonly details: readonly DescMessage[];
  /** The `domain` of every reason. */
  readonly domain: string;
  /** Headers of the answers, by status. */
  readonly headers?: Readonly<Record<number, JsonObject>>;
}

/** A reason why a call fails. */
export interface ErrorReason {
  /** `ErrorInfo.reason`. */
  readonly reason: string;
  /** The name of the code of gRPC. */
  readonly code: string;
  readonly httpStatus: number;
  /** When it happens, as a sentence without a full stop. */
  readonly description: string;
  /** Only operations with a body have it, or only those that change something. Left out: every operation. */
  readonly only?: "body" | "change";
}

function canOccur({ only }: ErrorReason, { hasBody, isSafe }: OperationTraits): boolean {
  if (only === undefined) return true;
  return only === "body" ? hasBody : !isSafe;
}

function componentName(status: number): string {
  return (STATUS_CODES[status] ?? `Status ${status}`).replace(/[^A-Za-z0-9]/g, "");
}

function describe(status: number, group: readonly ErrorReason[]): string {
  const codes = [...new Set(group.map(({ code }) => code))].join(" or ");
  const lines = group.map(({ reason, description }) => `- \`${reason}\`: ${description}`);
  return paragraphs(asSentence(`${STATUS_CODES[status] ?? status}: ${codes}`), lines.join("\n"));
}

function exampleOf({ reason, code, httpStatus, description }: ErrorReason, options: ErrorResponsesOptions): JsonObject {
  const type = `type.googleapis.com/${options.details[0]?.typeName}`;
  return {
    error: {
      code: httpStatus,
      status: code,
      message: description,
      details: [{ "@type": type, reason, domain: options.domain }],
    },
  };
}

function errorSchema({ reasons, details }: ErrorResponsesOptions, schemas: MessageSchemas): JsonObject {
  return {
    type: "object",
    description: "Every answer other than a 2xx, in the form of AIP-193.",
    required: ["error"],
    properties: {
      error: {
        type: "object",
        required: ["code", "status", "message", "details"],
        properties: {
          code: { type: "integer", description: "The HTTP status." },
          status: {
            type: "string",
            enum: [...new Set(reasons.map(({ code }) => code))].sort(),
            description: "The code of gRPC (google.rpc.Code).",
          },
          message: { type: "string", description: "What is wrong, and what to do about it, for people." },
          details: {
            type: "array",
            description: "The same for machines. The first one holds the reason.",
            items: { anyOf: details.map((message) => schemas.typedDetail(message)) },
          },
        },
      },
    },
  };
}
