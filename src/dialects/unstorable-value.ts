import type { InvalidField } from "./dialect.ts";

/**
 * The first place in a JSON value that cannot be stored or written again: a text with U+0000 or half of a surrogate pair, which Postgres
 * refuses, a member named `__proto__`, which gets lost on the way through JavaScript, or a nesting so deep that the next one who walks through it runs out of stack. Undefined where there is none.
 */
export function findUnstorableValue(value: unknown): InvalidField | undefined {
  const waiting: Place[] = [{ value, field: "", depth: 0 }];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    const message = problemOf(at);
    if (message !== undefined) {
      return { field: at.field, missing: false, message };
    }
    waiting.push(...placesIn(at).reverse());
  }
  return undefined;
}

interface Place {
  value: unknown;
  /** As callers write it: `config.keys[3]`. */
  field: string;
  depth: number;
}

const maxDepth = 64;

function problemOf({ value, depth }: Place): string | undefined {
  if (depth > maxDepth) return `must not be nested deeper than ${maxDepth} levels`;
  if (typeof value === "string") return textProblem(value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.keys(value)
    .map((name) => (name === "__proto__" ? "must not have a member named __proto__" : textProblem(name)))
    .find((problem) => problem !== undefined);
}

function textProblem(text: string): string | undefined {
  if (text.includes("\u0000")) return "must not contain the character U+0000";
  return text.isWellFormed() ? undefined : "must not contain half of a surrogate pair (U+D800 to U+DFFF)";
}

function placesIn({ value, field, depth }: Place): Place[] {
  if (typeof value !== "object" || value === null) return [];
  return Array.isArray(value)
    ? value.map((item, index) => ({ value: item, field: `${field}[${index}]`, depth: depth + 1 }))
    : Object.entries(value).map(([name, item]) => ({
        value: item,
        field: field === "" ? name : `${field}.${name}`,
        depth: depth + 1,
      }));
}
