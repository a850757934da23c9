import type { DialectRoute } from "./dialect.ts";

/** What a request's method and path lead to. */
export type DialectRouteMatch =
  | { kind: "found"; route: DialectRoute; params: Record<string, string> }
  | { kind: "method not allowed"; allowed: string[] }
  | { kind: "no route" };

/** Finds routes by their segments. A HEAD is a GET whose answer has no body. The dialects have a handful of routes each. */
export function createDialectRoutes(
  routes: readonly DialectRoute[],
): (method: string, path: string) => DialectRouteMatch {
  const entries = routes.map((route) => ({ route, segments: route.path.split("/") }));
  return (method, path) => {
    const segments = path.split("/");
    const allowed: string[] = [];
    for (const { route, segments: pattern } of entries) {
      const params = paramsOf(pattern, segments);
      if (params === undefined) {
        continue;
      }
      if (route.method === method || (route.method === "GET" && method === "HEAD")) {
        return { kind: "found", route, params };
      }
      allowed.push(route.method);
    }
    return allowed.length === 0 ? { kind: "no route" } : { kind: "method not allowed", allowed };
  };
}

/** Undefined where the path is another one, or where a parameter is empty or not decodable. */
function paramsOf(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) {
    return undefined;
  }
  const params: Record<string, string> = {};
  for (const [index, part] of pattern.entries()) {
    const segment = segments[index] ?? "";
    if (!part.startsWith("{")) {
      if (part !== segment) {
        return undefined;
      }
      continue;
    }
    const value = decode(segment);
    if (value === undefined || value === "") {
      return undefined;
    }
    params[part.slice(1, -1)] = value;
  }
  return params;
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
