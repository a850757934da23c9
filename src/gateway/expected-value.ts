import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";

/**
 * What one value of a field must be, for the end of "must be …"; of a repeated field or a map, one element. Undefined for messages that are
 * no one value, and for those that say more themselves (Struct, Any).
 */
export function expectedValue(field: DescField): string | undefined {
  if (field.enum !== undefined) return expectedEnum(field.enum);
  if (field.scalar !== undefined) return expectedScalar(field.scalar);
  return field.message && expectedMessage(field.message);
}

/** As expectedValue, for a message type. */
export function expectedMessage(message: DescMessage): string | undefined {
  switch (message.typeName) {
    case "google.protobuf.Timestamp":
      return "an RFC 3339 time such as 2026-01-31T12:00:00Z";
    case "google.protobuf.Duration":
      return "seconds with an s, such as 1.5s";
    case "google.protobuf.FieldMask":
      return "field paths with commas between them";
  }
  const wrapped = isWrapperDesc(message) ? message.fields[0] : undefined;
  return wrapped && expectedValue(wrapped);
}

/** What a value of the enum must be. */
export function expectedEnum(descriptor: DescEnum): string {
  return `one of ${descriptor.values.map((value) => value.name).join(", ")}`;
}

/** What a value of the scalar type must be. */
export function expectedScalar(type: ScalarType): string {
  switch (type) {
    case ScalarType.STRING:
      return "a string";
    case ScalarType.BOOL:
      return "true or false";
    case ScalarType.BYTES:
      return "base64";
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return "a number, NaN, Infinity or -Infinity";
    default:
      return `an integer from ${integerRanges[type].min} to ${integerRanges[type].max}`;
  }
}

/** A value of a body as a message names it, without repeating it: a secret or a payload in the wrong place must not come back in an error. */
export function kindOfValue(value: unknown): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return "an array";
  return { string: "this text", number: "this number" }[typeof value as string] ?? "an object";
}

/** A given value of a path or a query as a message shows it: in quotes, and cut where it is long. */
export function quoteValue(value: unknown): string {
  const text = jsonOf(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** What JSON.parse reads, however deep, JSON.stringify may run out of stack for. */
function jsonOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "nothing";
  } catch (error) {
    if (error instanceof RangeError) return "a value that is nested too deeply";
    throw error;
  }
}

const int32 = { min: -(2n ** 31n), max: 2n ** 31n - 1n };
const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const uint32 = { min: 0n, max: 2n ** 32n - 1n };
const uint64 = { min: 0n, max: 2n ** 64n - 1n };

/** The least and the greatest value of each integer type. */
export const integerRanges = {
  [ScalarType.INT32]: int32,
  [ScalarType.SINT32]: int32,
  [ScalarType.SFIXED32]: int32,
  [ScalarType.INT64]: int64,
  [ScalarType.SINT64]: int64,
  [ScalarType.SFIXED64]: int64,
  [ScalarType.UINT32]: uint32,
  [ScalarType.FIXED32]: uint32,
  [ScalarType.UINT64]: uint64,
  [ScalarType.FIXED64]: uint64,
};
