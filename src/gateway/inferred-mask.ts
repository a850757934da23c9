import {
  create,
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { FieldBehavior, field_behavior } from "../../gen/google/api/field_behavior_pb.ts";
import { findField, isPlainMessage } from "./field-path.ts";
import type { HttpBinding } from "./http-binding.ts";

/**
 * The field of the request that takes a mask made from the body's keys: for PATCH with a message field as the body, where the request has
 * exactly one FieldMask. Undefined elsewhere.
 */
export function maskToInfer(binding: HttpBinding): DescField | undefined {
  if (binding.httpMethod !== "PATCH" || typeof binding.body !== "object" || !isPlainMessage(binding.body))
    return undefined;
  const masks = binding.method.input.fields.filter(
    (field) => field.fieldKind === "message" && field.message.typeName === FieldMaskSchema.typeName,
  );
  return masks.length === 1 ? masks[0] : undefined;
}

/**
 * Sets the mask, where the request gave none, to the keys of the JSON body, in proto names: what a client sends is what it wants changed, and
 * a null is a field to clear (AIP-134, RFC 7396). Keys of nested objects become paths of their own, so that what the nested object leaves out
 * stays. Left out are fields that the path binds, and those that only the server sets (AIP-203), so that a resource that was read can be sent
 * back. A body without keys leaves the mask alone.
 */
export function inferMask(binding: HttpBinding, mask: DescField, message: Message, json: JsonValue | undefined): void {
  const { body } = binding;
  if (typeof body !== "object" || !isPlainMessage(body) || json === undefined) return;
  const request = reflect(binding.method.input, message);
  if (request.isSet(mask)) return;
  const fixed = binding.variables.filter(({ fields }) => fields[0] === body).map(({ fields }) => fields.slice(1));
  const paths = leafPaths(body.message, json, []).filter(
    (path) => !fixed.some((bound) => bound.length === path.length && bound.every((field, at) => field === path[at])),
  );
  if (paths.length === 0 || mask.fieldKind !== "message") return;
  const value = create(FieldMaskSchema, { paths: paths.map((path) => path.map((field) => field.name).join(".")) });
  request.set(mask, reflect(FieldMaskSchema, value));
}

function leafPaths(message: DescMessage, json: JsonValue, prefix: readonly DescField[]): DescField[][] {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return [];
  return Object.entries(json).flatMap(([name, value]) => {
    const field = findField(message, name);
    if (field === undefined || isSetByServer(field)) return [];
    const path = [...prefix, field];
    const hasKeys = typeof value === "object" && value !== null && Object.keys(value).length > 0;
    return isPlainMessage(field) && hasKeys ? leafPaths(field.message, value, path) : [path];
  });
}

function isSetByServer(field: DescField): boolean {
  if (!hasOption(field, field_behavior)) return false;
  const behaviors = getOption(field, field_behavior);
  return behaviors.includes(FieldBehavior.OUTPUT_ONLY) || behaviors.includes(FieldBehavior.IDENTIFIER);
}
