import { create, type DescField, getOption, hasOption, type JsonValue, type Message } from "@bufbuild/protobuf";
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
 * a null is a field to clear (AIP-134). The mask has the keys of the resource itself: a nested object replaces its field, as it does where a
 * client writes the mask. Left out are fields that the path binds, the etag, which is a condition and no change (AIP-154), and those that a
 * client cannot change (AIP-203), so that a resource that was read can be sent back. A body without keys leaves the mask alone.
 */
export function inferMask(binding: HttpBinding, mask: DescField, message: Message, json: JsonValue | undefined): void {
  const { body } = binding;
  if (typeof body !== "object" || !isPlainMessage(body) || mask.fieldKind !== "message") return;
  const request = reflect(binding.method.input, message);
  if (request.isSet(mask) || typeof json !== "object" || json === null || Array.isArray(json)) return;
  const paths = Object.keys(json).flatMap((name) => {
    const field = findField(body.message, name);
    return field !== undefined && isChangeable(field) && !isBoundByPath(binding, field) ? [field.name] : [];
  });
  if (paths.length > 0) request.set(mask, reflect(FieldMaskSchema, create(FieldMaskSchema, { paths })));
}

function isBoundByPath({ body, variables }: HttpBinding, field: DescField): boolean {
  return variables.some(({ fields }) => fields.length === 2 && fields[0] === body && fields[1] === field);
}

function isChangeable(field: DescField): boolean {
  if (field.name === "etag") return false;
  if (!hasOption(field, field_behavior)) return true;
  return !getOption(field, field_behavior).some((behavior) => unchangeable.has(behavior));
}

const unchangeable: ReadonlySet<FieldBehavior> = new Set([
  FieldBehavior.OUTPUT_ONLY,
  FieldBehavior.IDENTIFIER,
  FieldBehavior.IMMUTABLE,
]);
