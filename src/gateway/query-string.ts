import { GatewayError } from "./gateway-error.ts";

/**
 * The parameters of a raw query (without the `?`), in their order, decoded: `+` is a space, a parameter without `=` is empty.
 *
 * @throws {GatewayError} MALFORMED_QUERY where a `%` is malformed, or hides bytes that are no UTF-8.
 */
export function parseQuery(query: string): QueryParameter[] {
  if (query === "") return [];
  const parameters: QueryParameter[] = [];
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    const value = equals < 0 ? "" : pair.slice(equals + 1);
    parameters.push({ name: decode(name), value: decode(value) });
  }
  return parameters;
}

export interface QueryParameter {
  readonly name: string;
  readonly value: string;
}

function decode(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  if (!spaced.includes("%")) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch (cause) {
    const message = `the query holds a malformed percent-encoding in ${JSON.stringify(text.slice(0, 64))}`;
    throw new GatewayError("MALFORMED_QUERY", message, { cause });
  }
}
