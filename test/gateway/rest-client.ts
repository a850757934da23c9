import type { DescField, DescMessage, JsonValue } from "@bufbuild/protobuf";
import { hasJsonFormOfItsOwn } from "../../src/gateway/field-path.ts";
import type { BoundVariable, HttpBinding } from "../../src/gateway/http-binding.ts";

/**
 * What a client sends to call the binding with the request, and the request without what a URL cannot carry: maps, repeated messages,
 * free-form values and empty messages, where they are neither in the path nor in the body.
 */
export function toRestRequest(binding: HttpBinding, request: Json): RestRequest {
  const left = structuredClone(request);
  const values = binding.variables.map((variable) => pathValue(variable, takeOut(left, variable.fields)));
  const path = binding.template.segments.map((segment) => (segment.kind === "literal" ? [encode(segment.value)] : ["x"]));
  for (const [index, variable] of binding.variables.entries()) {
    path.splice(variable.start, variable.end - variable.start, ...fill(variable, values[index] ?? []));
  }
  const verb = binding.template.verb === undefined ? "" : `:${encode(binding.template.verb)}`;
  const sent: Json = {};
  for (const [index, variable] of binding.variables.entries()) {
    putIn(sent, variable.fields, fromText(variable.fields.at(-1)!, (values[index] ?? []).join("/")));
  }
  const target = `/${path.flat().join("/")}${verb}`;
  const { body, query } = divide(binding, left, sent);
  const line = `${binding.httpMethod === "*" ? "REPORT" : binding.httpMethod} ${target}`;
  return { line: query === "" ? line : `${line}?${query}`, body, sent };
}

export type Json = Record<string, JsonValue>;

export interface RestRequest {
  /** Method and target, such as `GET /v1/things/x?a=b`. */
  line: string;
  body: string;
  sent: Json;
}

function divide(binding: HttpBinding, left: Json, sent: Json): { body: string; query: string } {
  if (binding.body === "*") {
    merge(sent, left);
    return { body: JSON.stringify(left), query: "" };
  }
  let body = "";
  if (binding.body !== undefined) {
    const name = binding.body.jsonName;
    if (left[name] !== undefined) {
      body = JSON.stringify(left[name]);
      merge(sent, { [name]: left[name] });
      delete left[name];
    }
  }
  const pairs: string[] = [];
  merge(sent, flatten(binding.method.input, left, "", pairs, binding));
  return { body, query: pairs.join("&") };
}

/** Adds what a query can carry to the pairs, and answers with that part alone. */
function flatten(message: DescMessage, json: Json, prefix: string, pairs: string[], binding: HttpBinding): Json {
  const kept: Json = {};
  for (const field of message.fields) {
    const value = json[field.jsonName];
    if (value === undefined || field.fieldKind === "map") continue;
    const name = `${prefix}${field.jsonName}`;
    if (field.message !== undefined && !hasTextForm(field.message)) {
      if (field.fieldKind !== "message" || hasJsonFormOfItsOwn(field.message)) continue;
      const nested = flatten(field.message, value as Json, `${name}.`, pairs, binding);
      if (Object.keys(nested).length > 0) kept[field.jsonName] = nested;
      continue;
    }
    for (const each of field.fieldKind === "list" ? (value as JsonValue[]) : [value]) {
      pairs.push(`${encode(name)}=${encode(String(each))}`);
    }
    kept[field.jsonName] = value;
  }
  return kept;
}

function hasTextForm(message: DescMessage): boolean {
  return (
    hasJsonFormOfItsOwn(message) &&
    !["Any", "Struct", "Value", "ListValue"].some((name) => message.typeName === `google.protobuf.${name}`)
  );
}

/** The segments of a variable's value. One that the template cannot carry is made to fit: a segment is never empty. */
function pathValue(variable: BoundVariable, value: JsonValue | undefined): string[] {
  const text = value === undefined || value === "" ? defaultText(variable.fields.at(-1)!) : String(value);
  if (variable.isOneSegment) return [text];
  return Array.from({ length: variable.end - variable.start }, (_, index) => `${index}${text.replaceAll("/", "-")}`);
}

/** The encoded segments, with the template's own literals in their places. */
function fill(variable: BoundVariable, value: string[]): string[][] {
  return [value.map(encode)].map((segments) => [segments.join("/")]).concat(spare(variable.end - variable.start - 1));
}

function spare(count: number): string[][] {
  return Array.from({ length: count }, () => []);
}

function defaultText(field: DescField): string {
  if (field.enum !== undefined) return field.enum.values[0]!.name;
  return field.fieldKind === "scalar" && typeof field.getDefaultValue() === "boolean" ? "false" : "0";
}

function fromText(field: DescField, text: string): JsonValue {
  if (text === "true" || text === "false") return field.scalar === 8 ? text === "true" : text;
  return text;
}

function takeOut(json: Json, fields: readonly DescField[]): JsonValue | undefined {
  const [field, ...rest] = fields;
  if (field === undefined) return undefined;
  const value = json[field.jsonName];
  if (rest.length > 0) return value === undefined ? undefined : takeOut(value as Json, rest);
  delete json[field.jsonName];
  return value;
}

function putIn(json: Json, fields: readonly DescField[], value: JsonValue): void {
  const [field, ...rest] = fields;
  if (field === undefined) return;
  if (rest.length === 0) {
    json[field.jsonName] = value;
    return;
  }
  json[field.jsonName] ??= {};
  putIn(json[field.jsonName] as Json, rest, value);
}

function merge(target: Json, source: Json): void {
  for (const [name, value] of Object.entries(source)) {
    const existing = target[name];
    if (typeof existing === "object" && existing !== null && typeof value === "object" && value !== null) {
      merge(existing as Json, value as Json);
    } else target[name] = value;
  }
}

function encode(text: string): string {
  return encodeURIComponent(text);
}
