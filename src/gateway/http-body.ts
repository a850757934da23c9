import { create, type DescField, type DescMessage, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";

/** Whether a message type is google.api.HttpBody: raw bytes with their content type, in place of JSON. By name, so that any copy of it counts. */
export function isHttpBody(message: DescMessage): boolean {
  return message.typeName === "google.api.HttpBody";
}

/** Whether a field is one google.api.HttpBody. */
export function isHttpBodyField(field: DescField): field is DescField & { fieldKind: "message" } {
  return field.fieldKind === "message" && isHttpBody(field.message);
}

/** The message for raw bytes. `contentType` is the header's value, empty where it is missing. */
export function createHttpBody(descriptor: DescMessage, contentType: string, data: Uint8Array): Message {
  const message = create(descriptor);
  const body = reflect(descriptor, message);
  for (const field of descriptor.fields) {
    if (field.name === "content_type") body.set(field, contentType);
    if (field.name === "data") body.set(field, data);
  }
  return message;
}

/** The bytes of the message, and the content type that they are sent with: `application/octet-stream` where the message has none. */
export function readHttpBody(descriptor: DescMessage, message: Message): { contentType: string; data: Uint8Array } {
  const body = reflect(descriptor, message);
  let contentType = "";
  let data: Uint8Array = new Uint8Array();
  for (const field of descriptor.fields) {
    if (field.fieldKind !== "scalar") continue;
    const value = body.get(field);
    if (field.name === "content_type" && typeof value === "string") contentType = value;
    if (field.name === "data" && value instanceof Uint8Array) data = value;
  }
  return { contentType: contentType === "" ? "application/octet-stream" : contentType, data };
}
