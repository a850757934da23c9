import type { DescField } from "@bufbuild/protobuf";
import type { BoundVariable, HttpBinding } from "../gateway/http-binding.ts";

/**
 * The path of a binding as OpenAPI writes it. A variable of several segments becomes its literals with a parameter for each wildcard, since a
 * parameter of OpenAPI is one segment. Parameters have the JSON names of their fields.
 */
export function toOpenApiPath({ template, variables }: HttpBinding): OpenApiPath {
  const parameters: PathParameter[] = [];
  const parts = template.segments.map((segment, index) => {
    if (segment.kind === "literal") return { literal: encodeLiteral(segment.value) };
    const variable = variables.find(({ start, end }) => index >= start && index < end);
    parameters.push(toParameter(variable, index, parameters.length, segment.kind === "rest"));
    return { parameter: parameters.length - 1 };
  });
  const verb = template.verb === undefined ? "" : `:${encodeLiteral(template.verb)}`;
  return {
    parameters,
    format: (names) =>
      `/${parts.map((part) => part.literal ?? `{${names[part.parameter ?? 0] ?? ""}}`).join("/")}${verb}`,
  };
}

export interface OpenApiPath {
  readonly parameters: readonly PathParameter[];
  /** The path with these names for its parameters. Paths that differ in nothing else are one path of OpenAPI. */
  format(names: readonly string[]): string;
}

export interface PathParameter {
  readonly name: string;
  /** The fields that lead to the one that the path sets; undefined for a wildcard that sets none. */
  readonly fields: readonly DescField[] | undefined;
  /** The variable has further segments. */
  readonly isPart: boolean;
  /** Any number of segments, which OpenAPI cannot say. */
  readonly isRest: boolean;
}

function toParameter(
  variable: BoundVariable | undefined,
  index: number,
  count: number,
  isRest: boolean,
): PathParameter {
  if (variable === undefined) return { name: `segment${count + 1}`, fields: undefined, isPart: false, isRest };
  const name = jsonPath(variable.fields);
  const isPart = variable.end - variable.start > 1;
  return { name: isPart ? `${name}${index - variable.start + 1}` : name, fields: variable.fields, isPart, isRest };
}

/** A path of fields in JSON names, as queries and field masks write it. */
export function jsonPath(fields: readonly DescField[]): string {
  return fields.map(({ jsonName }) => jsonName).join(".");
}

/** What a path may hold as it is stays readable. */
function encodeLiteral(text: string): string {
  return encodeURIComponent(text).replace(/%(?:24|26|2B|2C|3B|3D|3A|40)/g, decodeURIComponent);
}
