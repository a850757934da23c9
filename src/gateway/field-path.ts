import type { DescField, DescMessage } from "@bufbuild/protobuf";
import { isWrapperDesc } from "@bufbuild/protobuf/wkt";

/**
 * Follows a path of field names, proto names or JSON names, through singular messages. The last field may be of any kind.
 * An unknown name, a step into something that is no message, and a step into a well-known type with a JSON form of its own are answered with
 * the reason, in words for people.
 */
export function resolveFieldPath(root: DescMessage, path: string): ResolvedPath | { problem: string } {
  const names = path.split(".");
  // As deep as protobuf's own JSON parser goes.
  if (names.length > 100) return { problem: "is nested too deeply" };
  const fields: DescField[] = [];
  let message: DescMessage | undefined = root;
  for (const name of names) {
    if (message === undefined) {
      const last = fields.at(-1);
      return { problem: last === undefined ? "is empty" : `cannot be reached: ${last.name} ${whyClosed(last)}` };
    }
    const field = findField(message, name);
    if (field === undefined) return { problem: "is not known" };
    fields.push(field);
    message = isPlainMessage(field) ? field.message : undefined;
  }
  const last = fields.at(-1);
  return last === undefined ? { problem: "is empty" } : { fields, last };
}

/** The fields from the root message on; `last` is the one that the path names. */
export interface ResolvedPath {
  readonly fields: readonly DescField[];
  readonly last: DescField;
}

/** The field of a message by its proto name or its JSON name. */
export function findField(message: DescMessage, name: string): DescField | undefined {
  let names = fieldNames.get(message);
  if (names === undefined) {
    names = new Map();
    for (const field of message.fields) names.set(field.jsonName, field);
    for (const field of message.fields) names.set(field.name, field);
    fieldNames.set(message, names);
  }
  return names.get(name);
}

/** The path in proto names, as field masks and field violations write it. */
export function protoPath(fields: readonly DescField[]): string {
  return fields.map((field) => field.name).join(".");
}

/** Whether one path is the other, or leads to it or from it. */
export function pathsOverlap(one: readonly DescField[], other: readonly DescField[]): boolean {
  const shared = Math.min(one.length, other.length);
  return one.slice(0, shared).every((field, index) => field === other[index]);
}

/** A singular message whose fields are its JSON: no list, no map, and no well-known type with a JSON form of its own. */
export function isPlainMessage(field: DescField): field is DescField & { fieldKind: "message" } {
  return field.fieldKind === "message" && !hasJsonFormOfItsOwn(field.message);
}

/** Whether protobuf's JSON mapping writes the message in another way than as an object of its fields. */
export function hasJsonFormOfItsOwn(message: DescMessage): boolean {
  return ownJsonForms.has(message.typeName) || isWrapperDesc(message);
}

const fieldNames = new WeakMap<DescMessage, Map<string, DescField>>();

const ownJsonForms: ReadonlySet<string> = new Set([
  "google.protobuf.Any",
  "google.protobuf.Timestamp",
  "google.protobuf.Duration",
  "google.protobuf.FieldMask",
  "google.protobuf.Struct",
  "google.protobuf.Value",
  "google.protobuf.ListValue",
]);

function whyClosed(field: DescField): string {
  if (field.fieldKind === "list") return "is repeated";
  if (field.fieldKind === "map") return "is a map";
  if (field.fieldKind === "message") return `is a ${field.message.typeName}, which is one value`;
  return "has no fields";
}
