import { type DescField, type DescMessage, fromJson, type JsonValue, ScalarType, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";

/** Any message of the type, as canonical protobuf JSON. Messages nest up to `depth` levels; google.protobuf.Any stays empty. */
export function arbitraryJson(message: DescMessage, depth = 3): fc.Arbitrary<Record<string, JsonValue>> {
  const fields = message.fields.filter((field) => field.message === undefined || depth > 0);
  const groups = new Map<unknown, DescField[]>();
  for (const field of fields) groups.set(field.oneof ?? field, [...(groups.get(field.oneof ?? field) ?? []), field]);
  // One member of a oneof, and half of the fields: enough of each to meet, and small enough to read when it fails.
  const parts = [...groups.values()].map((members) =>
    fc.option(
      fc.constantFrom(...members).chain((field) => fieldJson(field, depth).map((json) => ({ [field.jsonName]: json }))),
      { nil: {} },
    ),
  );
  return fc.tuple(...parts).map((entries) => {
    const json = Object.assign({}, ...entries.filter((entry) => !Object.values(entry).includes(undefined)));
    return toJson(message, fromJson(message, json)) as Record<string, JsonValue>;
  });
}

function fieldJson(field: DescField, depth: number): fc.Arbitrary<JsonValue | undefined> {
  if (field.fieldKind === "list") return defined(fc.array(valueJson(field, depth - 1), { maxLength: 3 }));
  if (field.fieldKind === "map") {
    return defined(fc.dictionary(fc.string({ maxLength: 4 }), valueJson(field, depth - 1), { maxKeys: 3 }));
  }
  return valueJson(field, depth - 1);
}

function defined(values: fc.Arbitrary<unknown>): fc.Arbitrary<JsonValue> {
  return values.map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);
}

function valueJson(field: DescField, depth: number): fc.Arbitrary<JsonValue | undefined> {
  if (field.enum !== undefined) return fc.constantFrom(...field.enum.values.map((value) => value.name));
  if (field.scalar !== undefined) return scalarJson(field.scalar);
  return field.message === undefined ? fc.constant(undefined) : messageJson(field.message, depth);
}

function messageJson(message: DescMessage, depth: number): fc.Arbitrary<JsonValue | undefined> {
  switch (message.typeName) {
    case "google.protobuf.Timestamp":
      return fc
        .date({ min: new Date(0), max: new Date("9999-01-01"), noInvalidDate: true })
        .map((d) => d.toISOString());
    case "google.protobuf.Duration":
      return fc.integer().map((ms) => `${(ms / 1000).toFixed(3)}s`);
    case "google.protobuf.FieldMask":
      return fc.array(fc.constantFrom("a", "b.c", "camelCase"), { maxLength: 3 }).map((paths) => paths.join(","));
    case "google.protobuf.Struct":
      return fc.dictionary(fc.string(), fc.string(), { maxKeys: 2 }).map((struct) => ({ ...struct }));
    case "google.protobuf.Value":
      return fc.oneof(fc.string(), fc.integer(), fc.boolean());
    case "google.protobuf.ListValue":
      return fc.array(fc.string(), { maxLength: 2 });
    case "google.protobuf.Any":
      return fc.constant({});
  }
  const wrapped = message.fields[0];
  if (message.typeName.endsWith("Value") && message.typeName.startsWith("google.protobuf.") && wrapped?.scalar) {
    return scalarJson(wrapped.scalar);
  }
  return arbitraryJson(message, depth);
}

const special = fc.constantFrom("NaN", "Infinity", "-Infinity");

function scalarJson(type: ScalarType): fc.Arbitrary<JsonValue> {
  switch (type) {
    case ScalarType.STRING:
      return fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("..", "a/b", "%2F", ":read", "a+b c", "?&=#", ""));
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString("base64"));
    // JSON has no negative zero.
    case ScalarType.DOUBLE:
      return fc.oneof(
        fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value || 0),
        special,
      );
    case ScalarType.FLOAT:
      return fc.oneof(
        fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => value || 0),
        special,
      );
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.nat({ max: 2 ** 32 - 1 });
    default:
      return fc.integer();
  }
}
