import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import type { FieldViolation } from "../errors.ts";

/** The texts of a message that hold U+0000, which Postgres cannot store, with their paths in proto names. */
export function nulCharacterViolations<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): FieldViolation[] {
  const description = "must not contain the character U+0000";
  return pathsWithNul(toJson(schema, message, { useProtoFieldName: true }), "").map((field) => ({
    field,
    description,
  }));
}

function pathsWithNul(value: unknown, path: string): string[] {
  if (typeof value === "string") return value.includes("\u0000") ? [path] : [];
  if (Array.isArray(value)) return value.flatMap((item, index) => pathsWithNul(item, `${path}[${index}]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) => pathsWithNul(item, path === "" ? name : `${path}.${name}`));
}
