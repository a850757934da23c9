import {
  create,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type Message,
  mergeFromJson,
  type Registry,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect, type ScalarValue, scalarEquals } from "@bufbuild/protobuf/reflect";
import { bindBody, parseAcceptedJson, type RequestBody } from "./bind-body.ts";
import { pathsOverlap, protoPath, resolveFieldPath } from "./field-path.ts";
import { type GatewayFieldViolation, invalidFieldsError } from "./gateway-error.ts";
import type { BoundVariable, HttpBinding } from "./http-binding.ts";
import { inferMask, maskToInfer } from "./inferred-mask.ts";
import { parseQuery, type QueryParameter } from "./query-string.ts";
import { decodeSegment, decodeSegments } from "./raw-path.ts";
import { textToJson } from "./text-value.ts";

/**
 * Makes the function that turns a request on the binding into its message, from path, query and body. Each field comes from one of them: a
 * query parameter for a field of the path or the body is refused, and so is a body that says otherwise than the path.
 *
 * The function throws GatewayError: INVALID_FIELDS naming every field that is wrong, MALFORMED_QUERY or MALFORMED_BODY.
 */
export function createRequestBinder(binding: HttpBinding, registry: Registry): RequestBinder {
  const { input } = binding.method;
  const mask = maskToInfer(binding);
  return ({ segments, query, body }) => {
    const message =
      binding.body === undefined || body === undefined ? create(input) : bindBody(input, binding.body, body, registry);
    const violations: GatewayFieldViolation[] = [];
    for (const variable of binding.variables) {
      bindVariable(input, message, variable, variableText(variable, segments), violations);
    }
    if (query !== "") bindQuery(binding, message, parseQuery(query), violations);
    if (violations.length > 0) throw invalidFieldsError(violations.slice(0, 20));
    if (mask !== undefined && body !== undefined) inferMask(binding, mask, message, parseAcceptedJson(body));
    return message;
  };
}

export type RequestBinder = (request: BindableRequest) => Message;

/** `segments` are the raw ones of the matched path, `query` is raw too. `body` is undefined where the binding takes none. */
export interface BindableRequest {
  readonly segments: readonly string[];
  readonly query: string;
  readonly body: RequestBody | undefined;
}

function variableText(variable: BoundVariable, segments: readonly string[]): string {
  if (variable.isOneSegment) return decodeSegment(segments[variable.start] ?? "");
  return decodeSegments(segments.slice(variable.start, variable.endsWithRest ? undefined : variable.end));
}

function bindVariable(
  input: DescMessage,
  message: Message,
  { fields }: BoundVariable,
  text: string,
  violations: GatewayFieldViolation[],
): void {
  const field = protoPath(fields);
  const fromBody = readScalar(input, message, fields);
  const problem = oneofProblem(input, message, fields) ?? setText(input, message, fields, text);
  if (problem !== undefined) {
    violations.push({ field, description: problem });
  } else if (fromBody !== undefined && !isSameValue(fields, fromBody, readScalar(input, message, fields))) {
    violations.push({
      field,
      description: "is set by the path, and the body says otherwise: leave it out of the body",
    });
  }
}

function bindQuery(
  binding: HttpBinding,
  message: Message,
  parameters: readonly QueryParameter[],
  violations: GatewayFieldViolation[],
): void {
  const bound = new Set<string>();
  for (const { name, value } of parameters) {
    const violation = bindParameter(binding, message, name, value, bound);
    if (violation !== undefined) violations.push(violation);
  }
}

function bindParameter(
  binding: HttpBinding,
  message: Message,
  name: string,
  value: string,
  bound: Set<string>,
): GatewayFieldViolation | undefined {
  const { input } = binding.method;
  if (binding.body === "*") {
    return { field: name, description: "cannot be a query parameter: the body holds every field of this request" };
  }
  const resolved = resolveFieldPath(input, name);
  if ("problem" in resolved) return { field: name, description: `${resolved.problem}, as a query parameter` };
  const { fields, last } = resolved;
  const field = protoPath(fields);
  const taken = whereBound(binding, fields);
  if (taken !== undefined) return { field, description: `cannot be a query parameter: the ${taken} sets it` };
  if (last.fieldKind !== "list" && bound.has(field))
    return { field, description: "is not repeated, and is given twice" };
  bound.add(field);
  const problem = oneofProblem(input, message, fields) ?? setText(input, message, fields, value);
  return problem === undefined ? undefined : { field, description: problem };
}

function whereBound(binding: HttpBinding, fields: readonly DescField[]): "path" | "body" | undefined {
  if (binding.variables.some((variable) => pathsOverlap(variable.fields, fields))) return "path";
  return fields[0] === binding.body ? "body" : undefined;
}

/** Sets a singular field, or adds to a repeated one. Answers with the problem where the text does not fit the field. */
function setText(input: DescMessage, message: Message, fields: readonly DescField[], text: string): string | undefined {
  const last = fields.at(-1);
  if (last === undefined) return "is empty";
  const value = textToJson(last, text);
  if ("problem" in value) return value.problem;
  try {
    const leaf: JsonValue = last.fieldKind === "list" ? [value.json] : value.json;
    mergeFromJson(input, message, nest(fields, leaf));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function nest(fields: readonly DescField[], leaf: JsonValue): JsonObject {
  let json = leaf;
  for (const field of fields.toReversed()) json = { [field.name]: json };
  return json as JsonObject;
}

/** Whether setting the field would push another member out of its oneof, at any level of the path. */
function oneofProblem(input: DescMessage, message: Message, fields: readonly DescField[]): string | undefined {
  if (!fields.some((field) => field.oneof !== undefined)) return undefined;
  let at: ReflectMessage = reflect(input, message);
  for (const field of fields) {
    const set = field.oneof && at.oneofCase(field.oneof);
    if (set !== undefined && set !== field) {
      return `cannot be set beside ${set.name}: the oneof ${field.oneof?.name} holds one of them`;
    }
    if (field.fieldKind !== "message" || !at.isSet(field)) return undefined;
    at = at.get(field);
  }
  return undefined;
}

/** The value of a singular scalar or enum; undefined where it is not set. */
function readScalar(input: DescMessage, message: Message, fields: readonly DescField[]): ScalarValue | undefined {
  let at: ReflectMessage = reflect(input, message);
  for (const field of fields) {
    if (!at.isSet(field)) return undefined;
    if (field.fieldKind === "scalar" || field.fieldKind === "enum") return at.get(field);
    if (field.fieldKind !== "message") return undefined;
    at = at.get(field);
  }
  return undefined;
}

function isSameValue(fields: readonly DescField[], one: ScalarValue, other: ScalarValue | undefined): boolean {
  const last = fields.at(-1);
  return last?.fieldKind === "scalar" ? scalarEquals(last.scalar, one, other) : one === other;
}
