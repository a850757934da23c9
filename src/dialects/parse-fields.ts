import type { z } from "zod";
import { DialectFailureError, type InvalidField } from "./dialect.ts";

/**
 * Reads a body or a query with a schema. Throws the failure of all bad fields, with their names as callers write them (`events[0]`); a value that
 * is not an object at all has the name of nothing, "".
 */
export function parseFields<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    return parsed.data;
  }
  const violations = parsed.error.issues.map(({ path, message }): InvalidField => {
    const missing = valueAt(value, path) === undefined;
    return { field: nameOf(path), missing, message: missing ? "is required" : message };
  });
  throw new DialectFailureError({ kind: "invalid", violations });
}

function nameOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === "number") return `${name}[${part}]`;
    return name === "" ? String(part) : `${name}.${String(part)}`;
  }, "");
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const part of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Record<PropertyKey, unknown>)[part];
  }
  return at;
}
