import {
  create,
  type DescField,
  type DescMessage,
  fromJson,
  fromJsonString,
  type JsonValue,
  type Message,
  type Registry,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { isPlainMessage } from "./field-path.ts";
import { GatewayError, invalidFieldsError } from "./gateway-error.ts";
import { createHttpBody, isHttpBody, isHttpBodyField } from "./http-body.ts";
import { findFieldJsonViolations, findJsonViolations } from "./json-violations.ts";

/**
 * Makes the request message from a body: all of it for `*`, else its one field. An empty body leaves the message as it is by default.
 *
 * @throws {GatewayError} MALFORMED_BODY for what is no JSON, INVALID_FIELDS naming each unknown field and each value that does not fit.
 */
export function bindBody(input: DescMessage, target: "*" | DescField, body: RequestBody, registry: Registry): Message {
  if (target === "*" && isHttpBody(input)) return createHttpBody(input, body.contentType, body.bytes);
  if (body.bytes.length === 0) return create(input);
  if (target !== "*" && isHttpBodyField(target)) {
    return withField(input, target, createHttpBody(target.message, body.contentType, body.bytes));
  }
  return bindJson(input, target, decodeUtf8(body.bytes), registry);
}

/** A request body, decompressed; `contentType` is the header's value, empty where it is missing. */
export interface RequestBody {
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** Whether the binding takes a body of any content type, as raw bytes. */
export function takesRawBody(input: DescMessage, target: "*" | DescField | undefined): boolean {
  if (target === undefined) return false;
  return target === "*" ? isHttpBody(input) : isHttpBodyField(target);
}

/** The JSON of a body that bindBody accepted; undefined for an empty one. */
export function parseAcceptedJson(body: RequestBody): JsonValue | undefined {
  return body.bytes.length === 0 ? undefined : JSON.parse(decodeUtf8(body.bytes));
}

function bindJson(input: DescMessage, target: "*" | DescField, text: string, registry: Registry): Message {
  try {
    if (target === "*") return fromJsonString(input, text, { registry });
    if (isPlainMessage(target) && text.trim() !== "null") {
      return withField(input, target, fromJsonString(target.message, text, { registry }));
    }
    // Parsed as a Value only for its check: a key that stands twice in an object is refused, as everywhere else.
    fromJsonString(ValueSchema, text);
    return fromJson(input, { [target.name]: JSON.parse(text) }, { registry });
  } catch (cause) {
    throw explain(input, target, text, registry, cause);
  }
}

function explain(
  input: DescMessage,
  target: "*" | DescField,
  text: string,
  registry: Registry,
  cause: unknown,
): GatewayError {
  let json: JsonValue;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return new GatewayError("MALFORMED_BODY", `the request body is not JSON: ${syntaxProblem(error)}`, {
      cause: error,
    });
  }
  const violations =
    target === "*" ? findJsonViolations(input, json, "", registry) : findFieldJsonViolations(target, json, registry);
  if (violations.length > 0) return invalidFieldsError(violations);
  return new GatewayError("MALFORMED_BODY", `the request body cannot be read: ${decodingProblem(cause)}`, { cause });
}

/** What protobuf's parser says, where that is about names or limits: of a value it repeats a part. */
function decodingProblem(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : "";
  const said = /duplicate object key "[^"]*"|maximum recursion depth of \d+ reached/.exec(message)?.[0];
  return said ?? "a value in it does not fit";
}

/** What JSON.parse says, without the part of the body that V8 repeats: `Unexpected token 'x', ..."before x after"... is not valid JSON`. */
function syntaxProblem(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/, (\.\.\.)?".*"(\.\.\.)? is not valid JSON$/s, ": not valid JSON");
}

function withField(input: DescMessage, field: DescField & { fieldKind: "message" }, value: Message): Message {
  const message = create(input);
  reflect(input, message).set(field, reflect(field.message, value));
  return message;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new GatewayError("MALFORMED_BODY", "the request body is not UTF-8, which JSON is written in", { cause });
  }
}
