import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsePathTemplate } from "../../src/gateway/path-template.ts";
import { createRouteTrie, type RouteTrie } from "../../src/gateway/route-trie.ts";

function trieOf(...routes: string[]): RouteTrie<string> {
  const trie = createRouteTrie<string>();
  for (const route of routes) {
    const [method = "", template = ""] = route.split(" ");
    expect(trie.add(method, parsePathTemplate(template), route)).toBeUndefined();
  }
  return trie;
}

function find(trie: RouteTrie<string>, request: string): string {
  const [method = "", path = ""] = request.split(" ");
  const match = trie.match(method, path);
  if (match.kind === "found") return match.route;
  return match.kind === "method" ? `405 ${match.allowed.toSorted().join(",")}` : match.kind;
}

describe("literals go before *, and * before **", () => {
  const trie = trieOf(
    "GET /v1/things/fixed",
    "GET /v1/things/*",
    "GET /v1/**",
    "GET /v1/things/*/parts",
    "GET /v1/*/x/parts",
  );
  test.each([
    ["GET /v1/things/fixed", "GET /v1/things/fixed"],
    ["GET /v1/things/other", "GET /v1/things/*"],
    ["GET /v1/things/fixed/parts", "GET /v1/things/*/parts"],
    ["GET /v1/things/x/parts", "GET /v1/things/*/parts"],
    ["GET /v1/others/x/parts", "GET /v1/*/x/parts"],
    ["GET /v1/things/a/b", "GET /v1/**"],
    ["GET /v1/things", "GET /v1/**"],
    ["GET /v1", "GET /v1/**"],
    ["GET /v1/", "GET /v1/**"],
    ["GET /v2", "none"],
    ["GET /", "none"],
    ["GET /V1/things/fixed", "none"],
  ])("%s", (request, route) => {
    expect(find(trie, request)).toBe(route);
  });
});

describe("a less specific route that has the method is found, and without one the answer is 405", () => {
  const trie = trieOf("POST /a/b/c", "PUT /a/*/c", "GET /a/**", "DELETE /a/b/*", "* /open/*", "GET /open/door");
  test.each([
    ["POST /a/b/c", "POST /a/b/c"],
    ["DELETE /a/b/c", "DELETE /a/b/*"],
    ["PUT /a/b/c", "PUT /a/*/c"],
    ["GET /a/b/c", "GET /a/**"],
    ["PATCH /a/b/c", "405 DELETE,GET,POST,PUT"],
    ["PATCH /a/x", "405 GET"],
    ["GET /open/door", "GET /open/door"],
    ["PATCH /open/door", "* /open/*"],
    ["GET /open/window", "* /open/*"],
  ])("%s", (request, route) => {
    expect(find(trie, request)).toBe(route);
  });
});

describe("a colon splits off a verb only where that verb is registered", () => {
  const trie = trieOf(
    "GET /v1/things/*",
    "POST /v1/things/*:cancel",
    "POST /v1/things:batch",
    "POST /v1/things",
    "GET /v1/files/**",
    "GET /v1/files/**:read",
    "GET /v1/plain/*",
  );
  test.each([
    ["POST /v1/things/a:cancel", "POST /v1/things/*:cancel"],
    ["POST /v1/things/a:b:cancel", "POST /v1/things/*:cancel"],
    ["GET /v1/things/a:other", "GET /v1/things/*"],
    ["GET /v1/things/a:", "GET /v1/things/*"],
    ["GET /v1/things/:cancel", "GET /v1/things/*"],
    ["GET /v1/things/a%3Acancel", "GET /v1/things/*"],
    ["GET /v1/things/a:cancel", "405 POST"],
    ["POST /v1/things/a:c%61ncel", "POST /v1/things/*:cancel"],
    ["POST /v1/things:batch", "POST /v1/things:batch"],
    ["POST /v1/things:other", "none"],
    ["GET /v1/plain/a:cancel", "GET /v1/plain/*"],
    ["GET /v1/plain/urn:isbn:123", "GET /v1/plain/*"],
    ["GET /v1/files/a/b:read", "GET /v1/files/**:read"],
    ["GET /v1/files/a/b:write", "GET /v1/files/**"],
    ["GET /v1/files/a:read/b", "GET /v1/files/**"],
    ["GET /v1/files:read", "GET /v1/files/**:read"],
  ])("%s", (request, route) => {
    expect(find(trie, request)).toBe(route);
  });
});

describe("routes match on the raw path", () => {
  const trie = trieOf("GET /v1/a%20b/*", "GET /v1/x/**", "GET /v1/up");
  test.each([
    ["GET /v1/a%20b/x", "GET /v1/a%20b/*"],
    ["GET /v1/%61%20b/x", "GET /v1/a%20b/*"],
    ["GET /v1/x/../up", "GET /v1/x/**"],
    ["GET /v1/x/%2e%2e/up", "GET /v1/x/**"],
    ["GET /v1/./up", "none"],
    ["GET /v1/x%2Fy", "none"],
    ["GET /v1/a%20b/", "none"],
    ["GET /v1//up", "none"],
    ["GET /v1/up/", "none"],
    ["GET /v1/x//y", "GET /v1/x/**"],
    ["GET /v1/%", "malformed"],
    ["GET /v1/%2", "malformed"],
    ["GET /v1/%zz", "malformed"],
    ["GET /v1/%ff", "malformed"],
    ["GET /elsewhere/%c3%28", "malformed"],
  ])("%s", (request, route) => {
    expect(find(trie, request)).toBe(route);
  });
});

test("a second route on the same place is answered with the first, whatever the variables are called", () => {
  const trie = createRouteTrie<string>();
  trie.add("GET", parsePathTemplate("/v1/{a}/x/{b=**}"), "first");
  expect(trie.add("GET", parsePathTemplate("/v1/*/{c=x/**}"), "second")).toBe("first");
  expect(trie.add("POST", parsePathTemplate("/v1/{a}/x/{b=**}"), "third")).toBeUndefined();
  expect(trie.add("*", parsePathTemplate("/v1/{a}/x/{b=**}"), "fourth")).toBeUndefined();
  expect(trie.add("GET", parsePathTemplate("/v1/{a}/x/{b=**}:verb"), "fifth")).toBeUndefined();
});

test("the trie finds what trying every route one by one finds", () => {
  const segment = fc.constantFrom("a", "b", "*");
  const template = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([segments, hasRest]) => `/${[...segments, ...(hasRest ? ["**"] : [])].join("/")}`);
  const path = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.uniqueArray(template, { minLength: 1, maxLength: 12 }), path, (templates, segments) => {
      const trie = trieOf(...templates.map((each) => `GET ${each}`));
      const best = templates.filter((each) => fits(each, segments)).toSorted(bySpecificity)[0];
      expect(find(trie, `GET /${segments.join("/")}`)).toBe(best === undefined ? "none" : `GET ${best}`);
    }),
    { numRuns: 2000 },
  );
});

function fits(template: string, segments: readonly string[]): boolean {
  const parts = template.slice(1).split("/");
  const hasRest = parts.at(-1) === "**";
  const fixed = hasRest ? parts.slice(0, -1) : parts;
  if (hasRest ? segments.length < fixed.length : segments.length !== fixed.length) return false;
  return fixed.every((part, index) => part === "*" || part === segments[index]);
}

/** Segment by segment from the left: a literal before `*` before `**`; the end of the template before `**`. */
function bySpecificity(one: string, other: string): number {
  const rank = (part: string | undefined) => (part === "**" ? 2 : part === "*" ? 1 : 0);
  const [left, right] = [one.slice(1).split("/"), other.slice(1).split("/")];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = rank(left[index]) - rank(right[index]);
    if (difference !== 0) return difference;
  }
  return 0;
}
