import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Registry,
} from "@bufbuild/protobuf";
import { expectedValue, kindOfValue } from "./expected-value.ts";
import { findField, hasJsonFormOfItsOwn, isPlainMessage } from "./field-path.ts";
import type { GatewayFieldViolation } from "./gateway-error.ts";

/**
 * Finds what in a JSON value keeps it from being the message: each unknown field, each value of a wrong type, each oneof that is set twice,
 * with its path. It runs after protobuf's own parser refused the value, which says what is wrong but not where. At most 20 are reported.
 *
 * `prefix` is the path of the value itself in the request message; empty for the request message.
 */
export function findJsonViolations(
  message: DescMessage,
  json: JsonValue,
  prefix: string,
  registry: Registry,
): GatewayFieldViolation[] {
  const search: Search = { violations: [], registry };
  if (isObject(json)) searchObject(search, message, json, prefix, 0);
  else search.violations.push({ field: prefix === "" ? message.name : prefix, description: "must be a JSON object" });
  return search.violations;
}

/** As findJsonViolations, for the value of one field of the request message. */
export function findFieldJsonViolations(
  field: DescField,
  json: JsonValue,
  registry: Registry,
): GatewayFieldViolation[] {
  const search: Search = { violations: [], registry };
  searchField(search, field, json, field.name, 0);
  return search.violations;
}

interface Search {
  readonly violations: GatewayFieldViolation[];
  readonly registry: Registry;
}

const maxViolations = 20;
const maxShownName = 128;
/** As deep as protobuf's own JSON parser goes. */
const maxDepth = 100;

function searchObject(search: Search, message: DescMessage, json: JsonObject, prefix: string, depth: number): void {
  const namesSeen = new Map<DescField, string>();
  for (const [name, value] of Object.entries(json)) {
    if (search.violations.length >= maxViolations) return;
    const field = findField(message, name);
    if (field === undefined) {
      report(search, join(prefix, name), `is not known: ${message.typeName} has no such field`);
      continue;
    }
    const path = join(prefix, field.name);
    const sameOneof = [...namesSeen.keys()].find((seen) => seen.oneof !== undefined && seen.oneof === field.oneof);
    if (namesSeen.has(field)) {
      report(search, path, `is given twice, as ${namesSeen.get(field)} and ${name}`);
    } else if (sameOneof !== undefined && value !== null) {
      report(search, path, `cannot be set beside ${sameOneof.name}: the oneof ${field.oneof?.name} holds one of them`);
    }
    if (value !== null) namesSeen.set(field, name);
    searchField(search, field, value, path, depth + 1);
  }
}

function searchField(search: Search, field: DescField, json: JsonValue, path: string, depth: number): void {
  if (depth > maxDepth) {
    report(search, path, "is nested too deeply");
    return;
  }
  if (isPlainMessage(field) && json !== null) {
    searchMessage(search, field.message, json, path, depth);
    return;
  }
  if (!hasElements(field, json)) {
    tryField(search, field, json, path);
    return;
  }
  for (const part of partsOf(json)) {
    if (fits(search, field, part.json)) continue;
    for (const element of elementsOf(field, part, path)) {
      if (search.violations.length >= maxViolations) return;
      if (element.message === undefined) tryField(search, field, element.alone, element.path, element.json);
      else searchMessage(search, element.message, element.json, element.path, depth);
    }
  }
}

function searchMessage(search: Search, message: DescMessage, json: JsonValue, path: string, depth: number): void {
  if (isObject(json)) searchObject(search, message, json, path, depth);
  else report(search, path, "must be a JSON object");
}

/** One element of a list or entry of a map. `message` is its type where that is a plain message; `alone` is the field's JSON with no other in it. */
interface Element {
  readonly path: string;
  readonly json: JsonValue;
  readonly alone: JsonValue;
  readonly message: DescMessage | undefined;
}

function hasElements(field: DescField, json: JsonValue): json is JsonValue[] | JsonObject {
  return (field.fieldKind === "list" && Array.isArray(json)) || (field.fieldKind === "map" && isObject(json));
}

/** A list or a map, or a part of it, whose first element is `from`. */
interface Part {
  readonly json: JsonValue[] | JsonObject;
  readonly from: number;
}

/** Nearly all of a long list is as it should be, and to look at each element of a million by itself takes seconds. */
function* partsOf(json: JsonValue[] | JsonObject): Generator<Part> {
  const elements = Array.isArray(json) ? json : Object.entries(json);
  for (let from = 0; from < elements.length; from += elementsOfPart) {
    const some = elements.slice(from, from + elementsOfPart);
    yield { json: Array.isArray(json) ? some : Object.fromEntries(some as [string, JsonValue][]), from };
  }
}

const elementsOfPart = 256;

function fits(search: Search, field: DescField, json: JsonValue): boolean {
  try {
    fromJson(field.parent, { [field.name]: json }, { registry: search.registry });
    return true;
  } catch {
    return false;
  }
}

function elementsOf(field: DescField, { json, from }: Part, path: string): Element[] {
  const message = field.message && !hasJsonFormOfItsOwn(field.message) ? field.message : undefined;
  if (Array.isArray(json)) {
    return json.map((element, index) => ({
      path: `${path}[${from + index}]`,
      json: element,
      alone: [element],
      message,
    }));
  }
  return Object.entries(json).map(([key, value]) => {
    return { path: `${path}[${JSON.stringify(shortened(key))}]`, json: value, alone: { [key]: value }, message };
  });
}

function tryField(search: Search, field: DescField, json: JsonValue, path: string, element = json): void {
  try {
    fromJson(field.parent, { [field.name]: json }, { registry: search.registry });
  } catch (error) {
    report(search, path, describe(field, json, element, error));
  }
}

function describe(field: DescField, json: JsonValue, element: JsonValue, error: unknown): string {
  if (field.fieldKind === "list" && !Array.isArray(json)) return `must be a JSON array, not ${kindOfValue(json)}`;
  if (field.fieldKind === "map" && !isObject(json)) return `must be a JSON object, not ${kindOfValue(json)}`;
  const isNoStruct = field.message?.typeName === "google.protobuf.Struct" && !isObject(element);
  const expected = isNoStruct ? "a JSON object" : expectedValue(field);
  if (expected !== undefined) return `must be ${expected}, not ${kindOfValue(element)}`;
  // Protobuf's own words, without the part that names the type: the path says where.
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^cannot decode \S+(?: \S+)? from JSON:? /, "").replace(/^list item #\d+: /, "");
}

function report(search: Search, field: string, description: string): void {
  if (search.violations.length < maxViolations) search.violations.push({ field, description });
}

function join(prefix: string, name: string): string {
  return prefix === "" ? shortened(name) : `${prefix}.${shortened(name)}`;
}

/** Whoever wrote a name of megabytes does not want it back. Half of a character, written so or cut here, is no text. */
function shortened(name: string): string {
  const shown = name.length > maxShownName ? `${name.slice(0, maxShownName)}…` : name;
  return shown.toWellFormed();
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
