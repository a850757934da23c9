import {
  type DescMethodUnary,
  fromJson,
  getOption,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { detailTypes } from "./matrix-outcome.ts";

/** A request of HTTP, and how to read the message out of its answer. */
export interface RestRequest {
  method: string;
  target: string;
  /** JSON; undefined: no body. */
  body: string | undefined;
  readAnswer(text: string): JsonValue;
}

/**
 * Writes a message as the request that its google.api.http rule asks for, by the rule alone and with nothing of the server's own code: the
 * variables into the path, the body where the rule has one, and the rest into the query.
 */
export function writeRestRequest(method: DescMethodUnary, message: Message): RestRequest {
  const rule = getOption(method, http);
  if (rule?.pattern.value === undefined || typeof rule.pattern.value !== "string") {
    throw new Error(`${method.name} has no google.api.http rule that this client understands`);
  }
  const fields = toJson(method.input, message, { useProtoFieldName: true }) as JsonObject;
  const path = rule.pattern.value.replaceAll(/\{([a-z_.]+)\}/g, (_, name: string) =>
    encodeURIComponent(take(fields, name)),
  );
  let body: JsonValue | undefined;
  if (rule.body === "*") {
    body = { ...fields };
  } else if (rule.body !== "") {
    body = fields[rule.body] ?? {};
    delete fields[rule.body];
  }
  const query = rule.body === "*" ? "" : new URLSearchParams(parameters(fields)).toString();
  const { responseBody } = rule;
  return {
    method: String(rule.pattern.case).toUpperCase(),
    target: query === "" ? path : `${path}?${query}`,
    body: body === undefined ? undefined : JSON.stringify(body),
    readAnswer(text) {
      const json = JSON.parse(text) as JsonValue;
      const answer = fromJson(method.output, responseBody === "" ? json : { [responseBody]: json }, {
        registry: detailTypes,
      });
      return toJson(method.output, answer, { registry: detailTypes });
    },
  };
}

/** Takes the value of a nested field away from the object. */
function take(fields: JsonObject, path: string): string {
  const names = path.split(".");
  const last = names.pop() ?? "";
  let at: JsonObject = fields;
  for (const name of names) at = at[name] as JsonObject;
  const value = at[last];
  delete at[last];
  if (typeof value !== "string" || value === "") throw new Error(`${path} is empty, and belongs into the path`);
  return value;
}

function parameters(fields: JsonObject, prefix = ""): [string, string][] {
  return Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    if (Array.isArray(value)) return value.map((item) => [prefix + name, String(item)]);
    if (typeof value === "object" && value !== null) return parameters(value, `${prefix}${name}.`);
    return [[prefix + name, String(value)]];
  });
}
