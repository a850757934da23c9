/**
 * Splits a path, as it came on the wire, at its slashes. `decoded` are the segments percent-decoded, for comparing with literals.
 * The path is not normalized: `..`, `%2e%2e` and empty segments stay what they are. Undefined where a `%` is malformed or hides bytes
 * that are no UTF-8.
 */
export function splitRawPath(path: string): { raw: readonly string[]; decoded: readonly string[] } | undefined {
  const raw = path.slice(path.startsWith("/") ? 1 : 0).split("/");
  if (!path.includes("%")) return { raw, decoded: raw };
  try {
    return { raw, decoded: raw.map(decodeURIComponent) };
  } catch {
    return undefined;
  }
}

/** The value of a variable that is one segment: fully percent-decoded. */
export function decodeSegment(segment: string): string {
  return segment.includes("%") ? decodeURIComponent(segment) : segment;
}

/** The value of a variable of several segments: percent-decoded, but for `%2F`, so that a slash that is data stays apart from one that divides. */
export function decodeSegments(segments: readonly string[]): string {
  const joined = segments.join("/");
  if (!joined.includes("%")) return joined;
  return joined
    .split(/(%2f)/i)
    .map((part, index) => (index % 2 === 0 ? decodeURIComponent(part) : part))
    .join("");
}

/** Divides a request target (`req.url`) into path and query, each raw. The absolute form that proxies send is understood (RFC 9112, 3.2.2). */
export function splitTarget(target: string): { path: string; query: string } {
  const origin = target.startsWith("/") ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, "");
  const mark = origin.indexOf("?");
  const path = mark < 0 ? origin : origin.slice(0, mark);
  return { path: path === "" ? "/" : path, query: mark < 0 ? "" : origin.slice(mark + 1) };
}
