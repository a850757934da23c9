import type { DescField, DescMessage, JsonObject } from "@bufbuild/protobuf";
import { isPlainMessage, pathsOverlap } from "../gateway/field-path.ts";
import type { HttpBinding } from "../gateway/http-binding.ts";
import { textToJson } from "../gateway/text-value.ts";
import { isOutputOnly, isRequired, type MessageSchemas } from "./message-schemas.ts";
import { jsonPath } from "./openapi-path.ts";

/**
 * The query parameters of a binding: every field that neither the path nor the body sets and that has a form in a URL, those of nested messages
 * with dots. A message that holds itself is followed once.
 */
export function queryParameters(binding: HttpBinding, schemas: MessageSchemas): JsonObject[] {
  if (binding.body === "*") return [];
  const found: JsonObject[] = [];
  const visit = (message: DescMessage, before: readonly DescField[], within: readonly DescMessage[]): void => {
    for (const field of message.fields) {
      const path = [...before, field];
      if (path[0] === binding.body || isOutputOnly(field)) continue;
      if (binding.variables.some(({ fields }) => fields.length <= path.length && pathsOverlap(fields, path))) continue;
      if (!isPlainMessage(field)) {
        if (hasTextForm(field)) found.push(toParameter(field, path, schemas));
      } else if (!within.includes(field.message)) {
        visit(field.message, path, [...within, field.message]);
      }
    }
  };
  visit(binding.method.input, [], [binding.method.input]);
  return found;
}

function toParameter(field: DescField, path: readonly DescField[], schemas: MessageSchemas): JsonObject {
  const description = schemas.describeField(field);
  return {
    name: jsonPath(path),
    in: "query",
    ...(description === "" ? {} : { description }),
    ...(path.every(isRequired) ? { required: true } : {}),
    schema: schemas.valueSchema(field),
  };
}

/** What has none is refused whatever the text is, and says so. */
function hasTextForm(field: DescField): boolean {
  const value = textToJson(field, "");
  return !("problem" in value) || !value.problem.includes("no form in a URL");
}
