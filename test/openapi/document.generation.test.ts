import type { JsonObject } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createMessageSchemas } from "../../src/openapi/message-schemas.ts";
import { createOpenApiDocument, type OpenApiOptions } from "../../src/openapi/openapi-document.ts";
import { createProse } from "../../src/openapi/prose.ts";
import { arbitraryJson } from "../gateway/arbitrary-message.ts";
import { fixtureMessage, fixtureRegistry, serviceWithRules } from "../gateway/fixture.ts";
import { compileSchemas, operationsOf, pointer } from "./document-schemas.ts";

type Rules = Parameters<typeof serviceWithRules>[0];

function generate(rules: Rules, { input = "Everything", output = input, ...more }: Shape = {}): JsonObject {
  const service = serviceWithRules(rules, { input, output });
  return createOpenApiDocument({
    files: [...fixtureRegistry.files],
    services: [{ service, tag: "Rules" }],
    info: { title: "Fixture", version: "1" },
    securitySchemes: {},
    errors: { reasons: [], details: [], domain: "fixture" },
    ...more,
  });
}

interface Shape extends Partial<OpenApiOptions> {
  input?: string;
  output?: string;
}

const get = (value: string) => ({ pattern: { case: "get" as const, value } });

describe("messages", () => {
  test.each(["Everything", "Thing", "Parts", "UpdateThingRequest", "WatchRequest"])(
    "the JSON of any %s is valid by its schema",
    (name) => {
      const schemas = createMessageSchemas(createProse([]));
      schemas.messageSchema(fixtureMessage(name));
      const compiled = compileSchemas({ components: { schemas: schemas.components() } });
      fc.assert(
        fc.property(arbitraryJson(fixtureMessage(name)), (json) => {
          expect(compiled.problems(`/components/schemas/${name}`, json)).toEqual([]);
        }),
        { numRuns: 100 },
      );
    },
  );

  test.each([
    ["a 64-bit integer as a number", { int64Value: 1 }],
    ["an enum's number", { color: 1 }],
    ["a duration in other units", { duration: "1m" }],
    ["two members of a oneof", { choiceText: "a", choiceNumber: 1 }],
    ["an unsigned integer below zero", { uint32Value: -1 }],
    ["a proto name", { string_value: "a" }],
    ["null in a list", { strings: [null] }],
  ])("%s is not what answers hold", (_, json) => {
    const document = generate([get("/v1/all")]);
    expect(compileSchemas(document).problems("/components/schemas/Everything", json)).not.toEqual([]);
  });

  test("a wrapper may be null", () => {
    const compiled = compileSchemas(generate([get("/v1/all")]));
    expect(compiled.problems("/components/schemas/Everything", { stringWrapper: null, int64Wrapper: null })).toEqual(
      [],
    );
  });
});

describe("paths", () => {
  const paths = (rules: Rules, shape?: Shape) =>
    operationsOf(generate(rules, shape)).map(({ method, path }) => `${method} ${path}`);

  test("routes that differ in the names of variables alone are one path, with the shortest names", () => {
    const document = generate(
      [
        { pattern: { case: "patch", value: "/v1/things/{thing.id}" }, body: "thing" },
        { pattern: { case: "post", value: "/v1/things/{thing.title}:cancel" }, body: "*" },
        get("/v1/things/{thing.id}"),
      ],
      { input: "UpdateThingRequest" },
    );
    expect(Object.keys(document.paths as JsonObject)).toEqual([
      "/v1/things/{thing.id}",
      "/v1/things/{thing.title}:cancel",
    ]);
  });

  test("a variable of several segments is one parameter for each wildcard", () => {
    expect(paths([get("/v1/{name=shelves/*/books/*}")], { input: "GetBookRequest" })).toEqual([
      "GET /v1/shelves/{name2}/books/{name4}",
    ]);
    expect(paths([get("/v1/{name=**}:read"), get("/v1/*/end")], { input: "GetBookRequest" })).toEqual([
      "GET /v1/{name}:read",
      "GET /v1/{segment1}/end",
    ]);
  });

  test("a further binding is an operation of its own", () => {
    const document = generate([{ ...get("/v1/one"), additionalBindings: [get("/v1/two")] }]);
    expect(operationsOf(document).map(({ id }) => id)).toEqual(["Rules_M0", "Rules_M0_2"]);
  });

  test.each([
    [
      "a method that OpenAPI does not know",
      [{ pattern: { case: "custom" as const, value: { kind: "PURGE", path: "/v1/a" } } }],
    ],
    ["routes that only their variables tell apart", [get("/v1/{name=**}"), get("/v1/{name}")]],
  ])("%s is an error that names the rule", (_, rules) => {
    expect(() => generate(rules, { input: "GetBookRequest" })).toThrow(/rules\.Rules\.M\d.*OpenAPI/);
  });

  test("an example of an operation that there is not is an error", () => {
    expect(() => generate([get("/v1/a")], { examples: { Rules_M7: {} } })).toThrow("Rules_M7");
  });
});

describe("parameters and bodies", () => {
  const names = (document: JsonObject, place: string) =>
    ((operationsOf(document)[0]?.operation.parameters ?? []) as JsonObject[])
      .filter((each) => each.in === place)
      .map(({ name }) => name);

  test("what neither path nor body sets is in the query, nested fields with dots, as far as it has a form in a URL", () => {
    const rule = { pattern: { case: "patch" as const, value: "/v1/{string_value}" }, body: "self" };
    const query = names(generate([rule]), "query");
    expect(query).toEqual(
      expect.arrayContaining(["int32Value", "colors", "nested.deeper.name", "fieldMask", "boolWrapper", "otherName"]),
    );
    for (const name of [
      "stringValue",
      "self",
      "self.int32Value",
      "nesteds",
      "labels",
      "struct",
      "value",
      "any",
      "nested",
    ]) {
      expect(query).not.toContain(name);
    }
  });

  test("a message that holds itself is followed once", () => {
    expect(names(generate([get("/v1/all")]), "query").filter((name) => String(name).startsWith("self."))).toEqual([]);
  });

  test("nothing is in the query where the body is everything, and the body has not what the path sets", () => {
    const document = generate([{ pattern: { case: "put", value: "/v1/{string_value}" }, body: "*" }]);
    expect(names(document, "query")).toEqual([]);
    const { schemas } = document.components as { schemas: Record<string, { properties: JsonObject }> };
    expect(schemas.EverythingBody?.properties).toHaveProperty("int32Value");
    expect(schemas.EverythingBody?.properties).not.toHaveProperty("stringValue");
  });

  test("one field as body and answer is the value alone", () => {
    const rule = { pattern: { case: "post" as const, value: "/v1/tags" }, body: "tags", responseBody: "tags" };
    const document = generate([rule], { input: "Parts" });
    const [operation] = operationsOf(document);
    const compiled = compileSchemas(document);
    const body = `${operation!.pointer}${pointer("requestBody", "content", "application/json", "schema")}`;
    for (const at of [body, compiled.answer(operation!, 200)!]) {
      expect(compiled.problems(at, ["a", "b"])).toEqual([]);
      expect(compiled.problems(at, { tags: [] })).not.toEqual([]);
    }
  });

  test("raw bytes are of any type, both ways", () => {
    const rule = { pattern: { case: "put" as const, value: "/v1/{name}" }, body: "file", responseBody: "file" };
    const { operation } = operationsOf(generate([rule], { input: "PutFileRequest" }))[0]!;
    expect(operation.requestBody).toEqual({ content: { "*/*": { schema: {} } } });
    expect(operation.responses).toMatchObject({ 200: { content: { "*/*": { schema: {} } } } });
  });

  test("a stream is lines of JSON or events", () => {
    const service = fixtureRegistry.getService("fixture.v1.FixtureService")!;
    const watch = { ...service, methods: service.methods.filter(({ name }) => name === "Watch") };
    const document = generate([], { services: [{ service: watch, tag: "Fixture" }] });
    expect(operationsOf(document)[0]?.operation.responses).toMatchObject({
      200: {
        content: {
          "application/x-ndjson": { schema: { $ref: "#/components/schemas/WatchResponse" } },
          "text/event-stream": { schema: { $ref: "#/components/schemas/WatchResponse" } },
        },
      },
    });
  });
});

describe("texts", () => {
  test("a comment is paragraphs, its first sentence the summary, and its field names are those of JSON", () => {
    const prose = createProse([...fixtureRegistry.files]);
    expect(prose.describe(fixtureMessage("WatchRequest").field.failAfter!)).toBe(
      "After how many messages the stream fails; 0: before the first. Left out: never.",
    );
    expect(prose.rename("Set `string_value`, not /v1/string_value or my_string_value_x.")).toBe(
      "Set `stringValue`, not /v1/string_value or my_string_value_x.",
    );
  });
});
