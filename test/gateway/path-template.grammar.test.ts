import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PathTemplateError, parsePathTemplate } from "../../src/gateway/path-template.ts";

const literal = (value: string) => ({ kind: "literal", value });
const any = { kind: "any" };
const rest = { kind: "rest" };

describe("a template is parsed into segments, variables and a verb", () => {
  test.each([
    ["/v1", [literal("v1")], [], undefined],
    ["/v1/webhooks", [literal("v1"), literal("webhooks")], [], undefined],
    ["/*", [any], [], undefined],
    ["/**", [rest], [], undefined],
    ["/v1/*/**", [literal("v1"), any, rest], [], undefined],
    ["/v1/{id}", [literal("v1"), any], [["id", 1, 2, false]], undefined],
    ["/v1/{id=*}", [literal("v1"), any], [["id", 1, 2, false]], undefined],
    ["/v1/{id}:test", [literal("v1"), any], [["id", 1, 2, false]], "test"],
    ["/v1:batch", [literal("v1")], [], "batch"],
    ["/v1/**:read", [literal("v1"), rest], [], "read"],
    ["/v1/{name=**}:read", [literal("v1"), rest], [["name", 1, 2, true]], "read"],
    ["/{a.b=x/*/y/**}", [literal("x"), any, literal("y"), rest], [["a.b", 0, 4, true]], undefined],
    [
      "/{a}/{b.c.d}/z",
      [any, any, literal("z")],
      [
        ["a", 0, 1, false],
        ["b.c.d", 1, 2, false],
      ],
      undefined,
    ],
    ["/{a=x}", [literal("x")], [["a", 0, 1, false]], undefined],
    ["/a%20b/%C3%BC", [literal("a b"), literal("ü")], [], undefined],
    ["/a%2Fb", [literal("a/b")], [], undefined],
    ["/a%3Ab:v%20w", [literal("a:b")], [], "v w"],
    ["/-._~!$&'()+,;@", [literal("-._~!$&'()+,;@")], [], undefined],
    ["/{_a1=*}", [any], [["_a1", 0, 1, false]], undefined],
  ])("%s", (source, segments, variables, verb) => {
    const template = parsePathTemplate(source);
    expect(template.segments).toEqual(segments);
    expect(template.variables.map((v) => [v.fieldPath, v.start, v.end, v.endsWithRest])).toEqual(variables);
    expect(template.verb).toBe(verb);
  });
});

describe("what does not follow the grammar is refused with the template and the place", () => {
  test.each([
    ["", "starts with /"],
    ["v1", "starts with /"],
    ["/", "a segment is empty"],
    ["/v1/", "a segment is empty"],
    ["//v1", "a segment is empty"],
    ["/v1//x", "a segment is empty"],
    ["/***", "*** means nothing"],
    ["/a*", 'unexpected "*"'],
    ["/*a", 'unexpected "a"'],
    ["/**/a", "** stands last"],
    ["/{a=**}/b", "** stands last"],
    ["/{a=**/b}", "** stands last"],
    ["/**/**", "** stands last"],
    ["/{a", "not closed by }"],
    ["/{a=x", "not closed by }"],
    ["/{}", "a field name is expected"],
    ["/{a.}", "a field name is expected"],
    ["/{.a}", "a field name is expected"],
    ["/{1a}", "a field name is expected"],
    ["/{a-b}", "not closed by }"],
    ["/{a=}", "a segment is empty"],
    ["/{a=x/}", "a segment is empty"],
    ["/{a={b}}", "cannot contain a variable"],
    ["/{a}{b}", 'unexpected "{"'],
    ["/x{a}", 'unexpected "{"'],
    ["/{a}x", 'unexpected "x"'],
    ["/{a}/{a}", "the variable a appears twice"],
    ["/}", "a segment is empty"],
    ["/a:", "the verb is empty"],
    ["/:a", "a segment is empty"],
    ["/a:b/c", 'unexpected "/"'],
    ["/a:b:c", 'unexpected ":"'],
    ["/{a=b:c}", "not closed by }"],
    ["/a?b", 'unexpected "?"'],
    ["/a b", 'unexpected " "'],
    ["/a=b", 'unexpected "="'],
    ["/ü", 'unexpected "ü"'],
    ["/%zz", 'unexpected "%"'],
    ["/%2", 'unexpected "%"'],
    ["/%ff", "not UTF-8"],
  ])("%s", (source, problem) => {
    expect(() => parsePathTemplate(source)).toThrow(PathTemplateError);
    expect(() => parsePathTemplate(source)).toThrow(problem);
    expect(() => parsePathTemplate(source)).toThrow(JSON.stringify(source));
  });
});

test("any text is parsed or refused with a PathTemplateError, and never breaks the parser", () => {
  const pieces = fc.constantFrom("/", "*", "**", "{", "}", "=", ":", ".", "a", "%20", "%", "ü", " ");
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const source = parts.join("");
      try {
        const template = parsePathTemplate(source);
        return template.segments.length > 0 && source.startsWith("/");
      } catch (error) {
        return error instanceof PathTemplateError;
      }
    }),
    { numRuns: 3000 },
  );
});
