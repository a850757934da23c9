import { readFileSync } from "node:fs";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { Ajv2020 } from "ajv/dist/2020.js";

/** One operation as a document describes it. */
export interface DocumentedOperation {
  id: string;
  method: string;
  path: string;
  /** Where it stands in the document. */
  pointer: string;
  operation: JsonObject;
}

/** The committed document. */
export function readDocument(): JsonObject {
  return JSON.parse(readFileSync(new URL("../../gen/openapi.json", import.meta.url), "utf8")) as JsonObject;
}

/** The operations of a document's `paths`, or of its `webhooks`. */
export function operationsOf(document: JsonObject, section: "paths" | "webhooks" = "paths"): DocumentedOperation[] {
  return Object.entries(document[section] as Record<string, Record<string, JsonObject>>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      id: String(operation.operationId),
      method: method.toUpperCase(),
      path,
      pointer: pointer(section, path, method),
      operation,
    })),
  );
}

/** Checks values against schemas of the document, by their JSON pointers. */
export interface DocumentSchemas {
  /** What is wrong with the value; empty where nothing is. */
  problems(pointer: string, value: unknown): string[];
  /** The pointer of an answer's schema, through the components; undefined where the document has no such answer. */
  answer(operation: DocumentedOperation, status: number, type?: string): string | undefined;
}

/**
 * Compiles the schemas of a document. Objects with named properties take no others here, so that a field which the document does not know is
 * found; a document itself leaves them open, for clients that are older than the server.
 */
export function compileSchemas(document: JsonObject): DocumentSchemas {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false, formats });
  const closed = closeObjects(document) as JsonObject;
  ajv.addSchema(closed, "document");
  return {
    problems(at, value) {
      const validate = ajv.compile({ $ref: `document#${at}` });
      validate(value);
      return (validate.errors ?? []).map(
        (error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`,
      );
    },
    answer({ pointer: at, operation }, status, type = "application/json") {
      const responses = operation.responses as Record<string, JsonObject>;
      const response = responses[status];
      if (response === undefined) return undefined;
      const place =
        typeof response.$ref === "string" ? response.$ref.slice(1) : `${at}${pointer("responses", `${status}`)}`;
      return `${place}${pointer("content", type, "schema")}`;
    },
  };
}

/** A JSON pointer (RFC 6901), as the fragment of a URL. */
export function pointer(...names: string[]): string {
  return names.map((name) => `/${encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"))}`).join("");
}

const formats = {
  "date-time": (text: string) =>
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/.test(text) &&
    !Number.isNaN(Date.parse(text)),
  "uri-reference": (text: string) => URL.canParse(text, "https://base.example"),
  int32: true,
  int64: true,
  uint64: true,
  float: true,
  double: true,
} as const;

function closeObjects(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(closeObjects);
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, each]) => [name, closeObjects(each)]));
  const isClosable = value.type === "object" && !("additionalProperties" in value);
  return isClosable ? { ...copy, additionalProperties: false } : copy;
}
