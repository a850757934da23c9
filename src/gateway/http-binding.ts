import { type DescField, type DescMethod, type DescService, getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../gen/google/api/http_pb.ts";
import { pathsOverlap, resolveFieldPath } from "./field-path.ts";
import { type PathTemplate, parsePathTemplate } from "./path-template.ts";

/**
 * The HTTP bindings of a service: one for each google.api.http rule of its methods and each `additional_bindings` of a rule.
 *
 * @throws {HttpRuleError} where a rule is not valid, naming the method and the rule.
 */
export function readHttpBindings(service: DescService): HttpBinding[] {
  return service.methods.flatMap((method) => {
    if (!hasOption(method, http)) return [];
    const rule = getOption(method, http);
    return [rule, ...rule.additionalBindings].map((each) => {
      if (each !== rule && each.additionalBindings.length > 0) {
        throw new HttpRuleError(method, "additional_bindings nest one level deep, no deeper");
      }
      return toBinding(method, each);
    });
  });
}

/** One way to call a method over HTTP. */
export interface HttpBinding {
  readonly method: CallableMethod;
  /** `*` is any. */
  readonly httpMethod: string;
  readonly template: PathTemplate;
  /** Beside the template's variables, in their order: the fields that they set. */
  readonly variables: readonly BoundVariable[];
  /** Which part of the request message is the body: all of it, one field, or none. */
  readonly body: "*" | DescField | undefined;
  /** Which field of the response message is the body of the answer; undefined: all of it. */
  readonly responseBody: DescField | undefined;
}

/** A method that plain HTTP can call: one request message, and one response message or a stream of them. */
export type CallableMethod = DescMethod & { methodKind: "unary" | "server_streaming" };

/** A path variable's field, and where its value stands in the path. */
export interface BoundVariable {
  readonly fields: readonly DescField[];
  readonly start: number;
  readonly end: number;
  readonly endsWithRest: boolean;
  /** One segment, which is decoded fully; else `%2F` stays. */
  readonly isOneSegment: boolean;
}

/** A google.api.http rule that cannot be served. The message names the method. */
export class HttpRuleError extends Error {
  override readonly name = "HttpRuleError";

  constructor(method: DescMethod, problem: string, cause?: unknown) {
    super(`google.api.http of ${method.parent.typeName}.${method.name}: ${problem}`, { cause });
  }
}

/** What names a binding in messages: the rule, and the method that it belongs to. */
export function describeBinding(binding: HttpBinding): string {
  return `${binding.httpMethod} ${binding.template.source} (${binding.method.parent.typeName}.${binding.method.name})`;
}

function toBinding(method: DescMethod, rule: HttpRule): HttpBinding {
  if (!isCallable(method)) throw new HttpRuleError(method, "a stream of requests has no form in HTTP transcoding");
  const { httpMethod, path } = readPattern(method, rule);
  const template = parseTemplate(method, path);
  return {
    method,
    httpMethod,
    template,
    variables: bindVariables(method, template),
    body: readBody(method, httpMethod, rule.body),
    responseBody: rule.responseBody === "" ? undefined : topLevelField(method, "response_body", rule.responseBody),
  };
}

function isCallable(method: DescMethod): method is CallableMethod {
  return method.methodKind === "unary" || method.methodKind === "server_streaming";
}

// The token of RFC 9110, 5.6.2, without lower case: methods are case-sensitive, and every registered one is upper case.
const httpToken = /^(?:\*|[A-Z0-9!#$%&'*+.^_`|~-]+)$/;

function readPattern(method: DescMethod, rule: HttpRule): { httpMethod: string; path: string } {
  const { pattern } = rule;
  if (pattern.case === undefined) throw new HttpRuleError(method, "the rule has no path");
  if (pattern.case !== "custom") return { httpMethod: pattern.case.toUpperCase(), path: pattern.value };
  const { kind, path } = pattern.value;
  if (!httpToken.test(kind)) {
    throw new HttpRuleError(method, `custom.kind ${JSON.stringify(kind)} is no HTTP method in upper case, and not *`);
  }
  return { httpMethod: kind, path };
}

function parseTemplate(method: DescMethod, path: string): PathTemplate {
  try {
    return parsePathTemplate(path);
  } catch (error) {
    throw new HttpRuleError(method, error instanceof Error ? error.message : String(error), error);
  }
}

function bindVariables(method: DescMethod, template: PathTemplate): BoundVariable[] {
  const bound: BoundVariable[] = [];
  for (const { fieldPath, start, end, endsWithRest } of template.variables) {
    const fields = variableFields(method, template, fieldPath);
    for (const earlier of bound) {
      if (pathsOverlap(earlier.fields, fields)) {
        throw new HttpRuleError(method, `${template.source} sets the field ${fieldPath} twice`);
      }
      const oneof = sharedOneof(earlier.fields, fields);
      if (oneof !== undefined) {
        throw new HttpRuleError(method, `${template.source} sets two members of the oneof ${oneof}`);
      }
    }
    bound.push({ fields, start, end, endsWithRest, isOneSegment: end - start === 1 && !endsWithRest });
  }
  return bound;
}

function variableFields(method: DescMethod, template: PathTemplate, fieldPath: string): readonly DescField[] {
  const resolved = resolveFieldPath(method.input, fieldPath);
  if ("problem" in resolved) {
    throw new HttpRuleError(method, `the variable ${fieldPath} of ${template.source} ${resolved.problem}`);
  }
  const kind = resolved.last.fieldKind;
  if (kind !== "scalar" && kind !== "enum") {
    throw new HttpRuleError(
      method,
      `the variable ${fieldPath} of ${template.source} is a ${kind}; a path holds singular scalars and enums`,
    );
  }
  return resolved.fields;
}

/** The oneof of which the two paths set different members, at the place where they part. */
function sharedOneof(one: readonly DescField[], other: readonly DescField[]): string | undefined {
  const index = one.findIndex((field, at) => field !== other[at]);
  const [left, right] = [one[index], other[index]];
  return left?.oneof !== undefined && left.oneof === right?.oneof ? left.oneof.name : undefined;
}

function readBody(method: DescMethod, httpMethod: string, body: string): HttpBinding["body"] {
  if (body === "") return undefined;
  if (httpMethod === "GET" || httpMethod === "HEAD") {
    throw new HttpRuleError(method, `a ${httpMethod} request has no body: leave "body" out`);
  }
  return body === "*" ? "*" : topLevelField(method, "body", body);
}

function topLevelField(method: DescMethod, part: "body" | "response_body", name: string): DescField {
  const message = part === "body" ? method.input : method.output;
  const field = message.fields.find((each) => each.name === name);
  if (field === undefined) {
    throw new HttpRuleError(method, `${part} names ${name}, which is no field of ${message.typeName}`);
  }
  return field;
}
