import {
  create,
  type DescField,
  type DescMessage,
  type JsonValue,
  type Message,
  type Registry,
  toJson,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { isPlainMessage } from "./field-path.ts";
import { isHttpBody, isHttpBodyField, readHttpBody } from "./http-body.ts";

/**
 * Makes the function that writes a response message: as protobuf JSON in JSON names, all of it or the field of `response_body` alone; or the
 * raw bytes of a google.api.HttpBody. Fields with their default value are left out.
 */
export function createMessageEncoder(
  output: DescMessage,
  responseBody: DescField | undefined,
  registry: Registry,
): MessageEncoder {
  if (responseBody === undefined) {
    if (isHttpBody(output)) return (message) => readHttpBody(output, message);
    return (message) => json(toJson(output, message, { registry }));
  }
  if (responseBody.fieldKind !== "message")
    return (message) => json(fieldToJson(output, responseBody, message, registry));
  const descriptor = responseBody.message;
  if (isHttpBodyField(responseBody)) {
    return (message) => readHttpBody(descriptor, reflect(output, message).get(responseBody).message);
  }
  return (message) => {
    const whole = reflect(output, message);
    // Nothing there: an empty object for an object; for what is written as one value there is no empty one but null.
    if (!whole.isSet(responseBody)) return json(isPlainMessage(responseBody) ? {} : null);
    return json(toJson(descriptor, whole.get(responseBody).message, { registry }));
  };
}

export type MessageEncoder = (message: Message) => EncodedMessage;

export interface EncodedMessage {
  readonly contentType: string;
  readonly data: Uint8Array;
}

/** Whether the answer is raw bytes of a content type that is not known before the call. */
export function answersRawBody(output: DescMessage, responseBody: DescField | undefined): boolean {
  return responseBody === undefined ? isHttpBody(output) : isHttpBodyField(responseBody);
}

function json(value: JsonValue): EncodedMessage {
  return { contentType: "application/json", data: Buffer.from(JSON.stringify(value)) };
}

/** The JSON of a field that is no singular message, by protobuf's own JSON of a message with that field alone. */
function fieldToJson(output: DescMessage, field: DescField, message: Message, registry: Registry): JsonValue {
  const alone = create(output);
  const whole = reflect(output, message);
  if (!whole.isSet(field)) return jsonOf(field, toJson(output, alone, { alwaysEmitImplicit: true }));
  reflect(output, alone).set(field, whole.get(field));
  return jsonOf(field, toJson(output, alone, { registry }));
}

/** What the object has for the field; null where it has nothing, as for an optional field that is not set. */
function jsonOf(field: DescField, fields: JsonValue): JsonValue {
  const isObject = typeof fields === "object" && fields !== null && !Array.isArray(fields);
  return (isObject ? fields[field.jsonName] : null) ?? null;
}
