import { type DescEnum, type DescField, type DescMessage, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import { protoCamelCase, protoSnakeCase } from "@bufbuild/protobuf/reflect";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";
import { expectedEnum, expectedMessage, expectedScalar, integerRanges, quoteValue } from "./expected-value.ts";

/**
 * Turns the text of a path segment or a query parameter into the protobuf JSON of one value of the field, or says what is wrong with it.
 * For a repeated field it is one element. Scalars, enums (by name or number), wrappers, Timestamp, Duration and FieldMask have a text form;
 * other messages and maps have none.
 */
export function textToJson(field: DescField, text: string): TextValue {
  switch (field.fieldKind) {
    case "scalar":
      return scalarToJson(field.scalar, text);
    case "enum":
      return enumToJson(field.enum, text);
    case "message":
      return messageToJson(field.message, text);
    case "list":
      if (field.listKind === "scalar") return scalarToJson(field.scalar, text);
      return field.listKind === "enum" ? enumToJson(field.enum, text) : messageToJson(field.message, text);
    case "map":
      return { problem: "is a map, which has no form in a URL" };
  }
}

/** The JSON that protobuf's own parser takes for the value; or the problem, as the end of a sentence that starts with the field's name. */
export type TextValue = { json: JsonValue } | { problem: string };

function scalarToJson(type: ScalarType, text: string): TextValue {
  switch (type) {
    case ScalarType.STRING:
      return { json: text };
    case ScalarType.BOOL:
      if (text === "true") return { json: true };
      return text === "false" ? { json: false } : mustBe(expectedScalar(type), text);
    case ScalarType.BYTES:
      return bytesToJson(text);
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return floatToJson(type, text);
    default:
      return integerToJson(type, text);
  }
}

function integerToJson(type: keyof typeof integerRanges, text: string): TextValue {
  const { min, max } = integerRanges[type];
  // Digits alone: what Number and BigInt take besides (0x10, 1e3, spaces) is no decimal integer. 20 digits hold every one of them.
  const digits = /^-?0*(\d{1,20})$/.test(text) ? BigInt(text) : undefined;
  if (digits === undefined || digits < min || digits > max) return mustBe(expectedScalar(type), text);
  return { json: digits.toString() };
}

const decimal = /^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const floatMax = 3.4028234663852886e38;

function floatToJson(type: ScalarType.DOUBLE | ScalarType.FLOAT, text: string): TextValue {
  if (text === "NaN" || text === "Infinity" || text === "-Infinity") return { json: text };
  const value = decimal.test(text) ? Number(text) : Number.NaN;
  const max = type === ScalarType.FLOAT ? floatMax : Number.MAX_VALUE;
  return Math.abs(value) <= max ? { json: value } : mustBe(expectedScalar(type), text);
}

function bytesToJson(text: string): TextValue {
  // A plus sign that was not percent-encoded reads as a space in a query; base64 has no spaces, so here it can be put right.
  const base64 = text.replaceAll(" ", "+");
  const unpadded = base64.replace(/={1,2}$/, "");
  const isPaddedRight = base64.length === unpadded.length || base64.length % 4 === 0;
  if (!/^[A-Za-z0-9+/_-]*$/.test(unpadded) || unpadded.length % 4 === 1 || !isPaddedRight) {
    return mustBe(expectedScalar(ScalarType.BYTES), text);
  }
  return { json: base64 };
}

function enumToJson(descriptor: DescEnum, text: string): TextValue {
  if (descriptor.values.some((value) => value.name === text || value.jsonName === text)) return { json: text };
  const number = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  const isInt32 = number >= -(2 ** 31) && number < 2 ** 31;
  if (isInt32 && (descriptor.open || descriptor.values.some((value) => value.number === number))) {
    return { json: number };
  }
  return mustBe(expectedEnum(descriptor), text);
}

function messageToJson(message: DescMessage, text: string): TextValue {
  switch (message.typeName) {
    case "google.protobuf.Timestamp":
      if (timestamp.test(text) && !Number.isNaN(Date.parse(text))) return { json: text };
      return mustBe(expectedMessage(message), text);
    case "google.protobuf.Duration":
      return isDuration(text) ? { json: text } : mustBe(expectedMessage(message), text);
    case "google.protobuf.FieldMask":
      return fieldMaskToJson(text);
  }
  const wrapped = isWrapperDesc(message) ? message.fields[0] : undefined;
  if (wrapped !== undefined) return textToJson(wrapped, text);
  return { problem: `is a ${message.typeName}, which has no form in a URL` };
}

const timestamp = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

function isDuration(text: string): boolean {
  const seconds = /^(-?\d{1,12})(?:\.\d{1,9})?s$/.exec(text)?.[1];
  return seconds !== undefined && Math.abs(Number(seconds)) <= 315_576_000_000;
}

/** Takes paths in JSON names and, as AIP-134 clients send them, in proto names. */
function fieldMaskToJson(text: string): TextValue {
  if (text === "") return { json: "" };
  const paths: string[] = [];
  for (const path of text.split(",")) {
    const jsonPath = path.includes("_") ? protoCamelCase(path) : path;
    if (path !== "*" && !fieldPath.test(path)) {
      return { problem: `must be field paths with commas between them, and ${quoteValue(path)} is none` };
    }
    // A name such as line_1 has no JSON form that leads back to it; protobuf's JSON mapping cannot carry it at all.
    if (path.includes("_") && protoSnakeCase(jsonPath) !== path) {
      return { problem: `cannot hold ${quoteValue(path)}, whose JSON name does not lead back to it` };
    }
    paths.push(jsonPath);
  }
  return { json: paths.join(",") };
}

const fieldPath = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$/;

function mustBe(expected: string | undefined, text: string): TextValue {
  return { problem: `must be ${expected ?? "something else"}, not ${quoteValue(text)}` };
}
