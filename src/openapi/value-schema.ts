import { type DescMessage, type JsonObject, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";

/** The JSON schema of a scalar in protobuf's JSON mapping: 64-bit integers are strings, bytes are base64. */
export function scalarSchema(type: ScalarType): JsonObject {
  switch (type) {
    case ScalarType.STRING:
      return { type: "string" };
    case ScalarType.BOOL:
      return { type: "boolean" };
    case ScalarType.BYTES:
      return { type: "string", contentEncoding: "base64" };
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE: {
      const format = type === ScalarType.FLOAT ? "float" : "double";
      return { anyOf: [{ type: "number", format }, { enum: ["NaN", "Infinity", "-Infinity"] }] };
    }
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return { type: "integer", minimum: 0, maximum: 2 ** 32 - 1 };
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return { type: "integer", format: "int32" };
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return { type: "string", format: "uint64", pattern: "^\\d+$" };
    default:
      return { type: "string", format: "int64", pattern: "^-?\\d+$" };
  }
}

/** The JSON schema of a well-known type that protobuf's JSON mapping writes in a way of its own; undefined for every other message. */
export function wellKnownSchema(message: DescMessage): JsonObject | undefined {
  const wrapped = isWrapperDesc(message) ? message.fields[0] : undefined;
  if (wrapped?.fieldKind === "scalar") return nullable(scalarSchema(wrapped.scalar));
  return wellKnown[message.typeName];
}

/** The schema that takes null besides. */
export function nullable(schema: JsonObject): JsonObject {
  const { type, $ref, description, ...rest } = schema;
  if (typeof type === "string") return { ...schema, type: [type, "null"] };
  const described = description === undefined ? {} : { description };
  if (typeof $ref === "string") return { ...rest, ...described, anyOf: [{ $ref }, { type: "null" }] };
  return Array.isArray(schema.anyOf) ? { ...schema, anyOf: [...schema.anyOf, { type: "null" }] } : schema;
}

const wellKnown: Readonly<Record<string, JsonObject>> = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?\\d+(\\.\\d{1,9})?s$" },
  "google.protobuf.FieldMask": { type: "string" },
  "google.protobuf.Value": {},
  "google.protobuf.Struct": { type: "object", additionalProperties: true },
  "google.protobuf.ListValue": { type: "array", items: {} },
  "google.protobuf.Any": {
    type: "object",
    properties: { "@type": { type: "string" } },
    additionalProperties: true,
  },
  // Raw bytes of a content type of their own, where it is a body.
  "google.api.HttpBody": {},
};
