import { type DescField, type DescMessage, type JsonValue, ScalarType } from "@bufbuild/protobuf";
import { hasJsonFormOfItsOwn } from "../../src/gateway/field-path.ts";
import type { BoundVariable, HttpBinding } from "../../src/gateway/http-binding.ts";

/**
 * What a client sends to call the binding with the request, and the request without what a URL cannot carry: maps, repeated messages,
 * free-form values and empty messages, where they are neither in the path nor in the body.
 */
export function toRestRequest(binding: HttpBinding, request: Json): RestRequest {
  const { segments, verb } = binding.template;
  const left = structuredClone(request);
  const sent: Json = {};
  const texts = segments.map((segment) => (segment.kind === "literal" ? segment.value : "x"));
  for (const variable of binding.variables) {
    const text = pathText(variable, takeOut(left, variable.fields));
    for (let index = variable.start; index < variable.end; index++) {
      // The segments of one variable are joined by slashes, which its value cannot hold otherwise.
      if (segments[index]?.kind !== "literal") texts[index] = variable.isOneSegment ? text : text.replaceAll("/", "-");
    }
    const value = texts.slice(variable.start, variable.end).join("/");
    putIn(sent, variable.fields, isBool(variable) ? value === "true" : value);
  }
  const { body, query } = divide(binding, left, sent);
  const path = `/${texts.map(encodeURIComponent).join("/")}${verb === undefined ? "" : `:${encodeURIComponent(verb)}`}`;
  const method = binding.httpMethod === "*" ? "REPORT" : binding.httpMethod;
  return { line: `${method} ${path}${query === "" ? "" : `?${query}`}`, body, sent };
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
      pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(String(each))}`);
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

/** A value for the path, which has no empty segments. */
function pathText(variable: BoundVariable, value: JsonValue | undefined): string {
  if (value !== undefined && value !== "") return String(value);
  if (variable.fields.at(-1)?.scalar === ScalarType.BYTES) return "AAAA";
  return isBool(variable) ? "false" : (variable.fields.at(-1)?.enum?.values[0]?.name ?? "0");
}

function isBool(variable: BoundVariable): boolean {
  return variable.fields.at(-1)?.scalar === ScalarType.BOOL;
}

function takeOut(json: Json, fields: readonly DescField[]): JsonValue | undefined {
  const [field, ...rest] = fields;
  if (field === undefined) return undefined;
  // A path that sets one member of a oneof leaves no room for another.
  for (const member of field.oneof?.fields ?? []) if (member !== field) delete json[member.jsonName];
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
