import type { PathTemplate } from "./path-template.ts";
import { splitRawPath } from "./raw-path.ts";

/**
 * An index of path templates. A match costs as many steps as the path has segments, and not more where there are more routes: literal
 * segments go before `*`, `*` before `**`, with backtracking, so that a less specific route that has the HTTP method is found.
 *
 * A verb (`:cancel`) is split off the last segment only where a route with that verb matches the rest of the path, for whatever method; else
 * the colon is data. An encoded colon (`%3A`) is always data. `*` does not match an empty segment.
 */
export function createRouteTrie<Route>(): RouteTrie<Route> {
  const root = createNode<Route>();
  const verbs = new Set<string>();

  function add(method: string, template: PathTemplate, route: Route): Route | undefined {
    if (template.verb !== undefined) verbs.add(template.verb);
    const leaf = leafFor(root, template);
    const existing = leaf.get(method);
    if (existing !== undefined) return existing;
    leaf.set(method, route);
    return undefined;
  }

  function match(method: string, rawPath: string): RouteMatch<Route> {
    const path = splitRawPath(rawPath);
    if (path === undefined) return { kind: "malformed" };
    const { raw, decoded } = path;
    const withVerb = splitVerb(raw, decoded, verbs);
    if (withVerb !== undefined) {
      const found = search(root, withVerb.decoded, withVerb.verb, method);
      if (found.kind === "found") return { ...found, segments: withVerb.raw };
      if (found.kind === "method") return found;
    }
    const found = search(root, decoded, noVerb, method);
    return found.kind === "found" ? { ...found, segments: raw } : found;
  }

  return { add, match };
}

export interface RouteTrie<Route> {
  /** Adds a route; `*` as the method is any. Answers with the route that has the place already, where there is one: then nothing is added. */
  add(method: string, template: PathTemplate, route: Route): Route | undefined;
  /** Finds the route of a path as it came on the wire: not decoded, not normalized, without the query. */
  match(method: string, rawPath: string): RouteMatch<Route>;
}

/** `segments` are the raw ones, without the verb where the route has one. `allowed`: the methods that the path has. */
export type RouteMatch<Route> =
  | { kind: "found"; route: Route; segments: readonly string[] }
  | { kind: "method"; allowed: readonly string[] }
  | { kind: "none" }
  | { kind: "malformed" };

type Leaf<Route> = Map<string, Route>;

interface Node<Route> {
  readonly literals: Map<string, Node<Route>>;
  any: Node<Route> | undefined;
  /** Routes that end here, by verb, then by method. */
  readonly ends: Map<string, Leaf<Route>>;
  /** Routes that go on with `**`. */
  readonly rests: Map<string, Leaf<Route>>;
}

// A verb is never empty, so the empty string is free to mean none.
const noVerb = "";

function createNode<Route>(): Node<Route> {
  return { literals: new Map(), any: undefined, ends: new Map(), rests: new Map() };
}

function leafFor<Route>(root: Node<Route>, template: PathTemplate): Leaf<Route> {
  const verb = template.verb ?? noVerb;
  let node = root;
  for (const segment of template.segments) {
    if (segment.kind === "rest") return getOrAdd(node.rests, verb, () => new Map());
    if (segment.kind === "literal") {
      node = getOrAdd(node.literals, segment.value, createNode<Route>);
    } else {
      node.any ??= createNode<Route>();
      node = node.any;
    }
  }
  return getOrAdd(node.ends, verb, () => new Map());
}

function getOrAdd<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const existing = map.get(key);
  if (existing !== undefined) return existing;
  const made = make();
  map.set(key, made);
  return made;
}

type Found<Route> = { kind: "found"; route: Route } | { kind: "method"; allowed: readonly string[] } | { kind: "none" };

function search<Route>(root: Node<Route>, segments: readonly string[], verb: string, method: string): Found<Route> {
  // Other methods of the path, for the Allow header; made only when a leaf lacks the method.
  let allowed: Set<string> | undefined;

  function fromLeaf(leaf: Leaf<Route> | undefined): Route | undefined {
    if (leaf === undefined) return undefined;
    const route = leaf.get(method) ?? leaf.get("*");
    if (route !== undefined) return route;
    allowed ??= new Set();
    for (const other of leaf.keys()) allowed.add(other);
    return undefined;
  }

  function visit(node: Node<Route>, index: number): Route | undefined {
    const segment = segments[index];
    if (segment === undefined) return fromLeaf(node.ends.get(verb)) ?? fromLeaf(node.rests.get(verb));
    const literal = node.literals.get(segment);
    const byLiteral = literal && visit(literal, index + 1);
    if (byLiteral !== undefined) return byLiteral;
    const byAny = segment !== "" && node.any ? visit(node.any, index + 1) : undefined;
    if (byAny !== undefined) return byAny;
    return fromLeaf(node.rests.get(verb));
  }

  const route = visit(root, 0);
  if (route !== undefined) return { kind: "found", route };
  return allowed === undefined ? { kind: "none" } : { kind: "method", allowed: [...allowed] };
}

interface VerbSplit {
  verb: string;
  raw: readonly string[];
  decoded: readonly string[];
}

function splitVerb(
  raw: readonly string[],
  decoded: readonly string[],
  verbs: ReadonlySet<string>,
): VerbSplit | undefined {
  const last = raw.at(-1);
  if (last === undefined || verbs.size === 0) return undefined;
  const colon = last.lastIndexOf(":");
  if (colon < 0) return undefined;
  // Well formed as a part: a split at a colon cannot cut an escape in two.
  const verb = decodeURIComponent(last.slice(colon + 1));
  if (!verbs.has(verb)) return undefined;
  const base = last.slice(0, colon);
  return {
    verb,
    raw: [...raw.slice(0, -1), base],
    decoded: [...decoded.slice(0, -1), decodeURIComponent(base)],
  };
}
