import { describe, expect, test } from "vitest";
import { createBinder, gatewayErrorOf, violationsOf } from "./bind-without-server.ts";
import { fixtureRegistry, fixtureService } from "./fixture.ts";

const bind = createBinder([fixtureService], fixtureRegistry);

describe("a body sets the whole request, or the one field that the rule names", () => {
  test.each([
    ["POST /v1/body", "", {}],
    ["POST /v1/body", "{}", {}],
    ["POST /v1/body", '\uFEFF{"stringValue":"x"}', { stringValue: "x" }],
    ["POST /v1/body", '{"string_value":"x","int64Value":"1"}', { stringValue: "x", int64Value: "1" }],
    ["POST /v1/body", '{"struct":{"a":[1,null]},"value":null}', { struct: { a: [1, null] }, value: null }],
    ["POST /v1/body", '{"list":[1,"x"]}', { list: [1, "x"] }],
    [
      "POST /v1/body",
      '{"any":{"@type":"type.googleapis.com/fixture.v1.Nested","count":1}}',
      { any: { "@type": "type.googleapis.com/fixture.v1.Nested", count: 1 } },
    ],
    ["POST /v1/body", '{"nestedMap":{"a":{"count":1}}}', { nestedMap: { a: { count: 1 } } }],
    ["PATCH /v1/things/x", "", { thing: { id: "x" } }],
    ["PATCH /v1/things/x", "null", { thing: { id: "x" } }],
    ["POST /v1/parts/tags", '["a","b"]', { tags: ["a", "b"] }],
    ["POST /v1/parts/tags", "[]", {}],
    ["POST /v1/parts/tags", "", {}],
    ["POST /v1/parts/tags?pageSize=3", '["a"]', { tags: ["a"], pageSize: 3 }],
    ["POST /v1/parts/note", '"x"', { note: "x" }],
    ["POST /v1/parts/labels", '{"a":1}', { labels: { a: 1 } }],
    ["POST /v1/parts/time", '"2026-01-31T12:00:00Z"', { time: "2026-01-31T12:00:00Z" }],
    ["POST /v1/parts/time", "null", {}],
    ["POST /v1/parts/things", '[{"id":"a"},{}]', { things: [{ id: "a" }, {}] }],
    ["POST /v1/parts/data", '{"a":{"b":1}}', { data: { a: { b: 1 } } }],
  ])("%s %s", (request, body, expected) => {
    expect(bind(request, body)).toEqual(expected);
  });
});

describe("every field of a body that is wrong is named with its path", () => {
  test.each([
    ["POST /v1/body", '{"nope":1}', ["nope: is not known: fixture.v1.Everything has no such field"]],
    [
      "POST /v1/body",
      '{"nested":{"nope":1,"deeper":{"other":1}}}',
      [
        "nested.nope: is not known: fixture.v1.Nested has no such field",
        "nested.deeper.other: is not known: fixture.v1.Deeper has no such field",
      ],
    ],
    ["POST /v1/body", '{"nesteds":[{},{"x":1}]}', ["nesteds[1].x: is not known: fixture.v1.Nested has no such field"]],
    [
      "POST /v1/body",
      '{"nestedMap":{"a":{"x":1}}}',
      ['nested_map["a"].x: is not known: fixture.v1.Nested has no such field'],
    ],
    [
      "POST /v1/body",
      '{"int32Value":"x"}',
      ["int32_value: must be an integer from -2147483648 to 2147483647, not this text"],
    ],
    [
      "POST /v1/body",
      '{"int64s":[1,"x"]}',
      ["int64s[1]: must be an integer from -9223372036854775808 to 9223372036854775807, not this text"],
    ],
    ["POST /v1/body", '{"stringValue":1}', ["string_value: must be a string, not this number"]],
    [
      "POST /v1/body",
      '{"timestamp":"x"}',
      ["timestamp: must be an RFC 3339 time such as 2026-01-31T12:00:00Z, not this text"],
    ],
    ["POST /v1/body", '{"nested":[]}', ["nested: must be a JSON object"]],
    ["POST /v1/body", '{"nested":{"deeper":1}}', ["nested.deeper: must be a JSON object"]],
    ["POST /v1/body", '{"labels":{"a":1}}', ['labels["a"]: must be a string, not this number']],
    [
      "POST /v1/body",
      '{"stringValue":"a","string_value":"b"}',
      ["string_value: is given twice, as stringValue and string_value"],
    ],
    [
      "POST /v1/body",
      '{"choiceText":"a","choiceNumber":1}',
      ["choice_number: cannot be set beside choice_text: the oneof choice holds one of them"],
    ],
    ["POST /v1/body", '{"strings":"a"}', ["strings: must be a JSON array, not this text"]],
    ["POST /v1/body", '{"strings":["a",null]}', ["strings[1]: must be a string, not null"]],
    ["POST /v1/body", '{"labels":[]}', ["labels: must be a JSON object, not an array"]],
    [
      "POST /v1/body",
      '{"color":"RED"}',
      ["color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE, not this text"],
    ],
    ["POST /v1/body", '{"boolWrapper":1}', ["bool_wrapper: must be true or false, not this number"]],
    [
      "POST /v1/body",
      '{"any":{"@type":"type.googleapis.com/x.Y"}}',
      ["any: type.googleapis.com/x.Y is not in the type registry"],
    ],
    ["POST /v1/body", '{"struct":1}', ["struct: must be a JSON object, not this number"]],
    ["POST /v1/body", '{"struct":"a secret"}', ["struct: must be a JSON object, not this text"]],
    [
      "POST /v1/body",
      `{"${"n".repeat(150)}":1}`,
      [`${"n".repeat(128)}…: is not known: fixture.v1.Everything has no such field`],
    ],
    [
      "POST /v1/body",
      `{"${"n".repeat(127)}😀":1,"\\ud83d":1}`,
      [
        `${"n".repeat(127)}\ufffd…: is not known: fixture.v1.Everything has no such field`,
        "\ufffd: is not known: fixture.v1.Everything has no such field",
      ],
    ],
    ["POST /v1/body", "[]", ["Everything: must be a JSON object"]],
    ["POST /v1/body", "null", ["Everything: must be a JSON object"]],
    ["PATCH /v1/things/x", '{"nope":1}', ["thing.nope: is not known: fixture.v1.Thing has no such field"]],
    ["PATCH /v1/things/x", '{"thing":{}}', ["thing.thing: is not known: fixture.v1.Thing has no such field"]],
    ["PATCH /v1/things/x", '"x"', ["thing: must be a JSON object"]],
    ["POST /v1/parts/tags", '["a",1]', ["tags[1]: must be a string, not this number"]],
    [
      "POST /v1/parts/things",
      '[{"id":"a"},{"nope":1}]',
      ["things[1].nope: is not known: fixture.v1.Thing has no such field"],
    ],
    ["POST /v1/parts/note", "1", ["note: must be a string, not this number"]],
  ])("%s %s", (request, body, expected) => {
    expect(violationsOf(() => bind(request, body))).toEqual(expected);
  });
});

test.each([
  ["list", (last: unknown) => ({ strings: [...Array(1_000_000).fill("a"), last] })],
  [
    "map",
    (last: unknown) => ({
      labels: { ...Object.fromEntries(Array.from({ length: 300_000 }, (_, i) => [`${i}`, ""])), last },
    }),
  ],
])("what is wrong in a very long %s is found in about the time that reading it takes", (_what, of) => {
  const request = "POST /v1/body";
  // Of the processor, which others and a machine that stands still take nothing of.
  const timeOf = (act: () => unknown): number => {
    const before = process.threadCpuUsage();
    act();
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1_000;
  };
  const [whole, broken] = [JSON.stringify(of("b")), JSON.stringify(of({}))];
  // What disturbs a measurement only makes it longer: the shortest of several is nearest to the truth.
  let [readMs, searchedMs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let measured = 0; measured < 3 && searchedMs >= 4 * readMs + 200; measured += 1) {
    const searched = timeOf(() => expect(violationsOf(() => bind(request, broken))).toHaveLength(1));
    searchedMs = Math.min(searchedMs, searched);
    readMs = Math.min(
      readMs,
      timeOf(() => bind(request, whole)),
    );
  }
  expect(searchedMs).toBeLessThan(4 * readMs + 200);
});

describe("what is no JSON text is a malformed body", () => {
  test.each([
    ["POST /v1/body", "{"],
    ["POST /v1/body", "{} x"],
    ["POST /v1/body", " "],
    ["POST /v1/body", '{"stringValue":"a","stringValue":"b"}'],
    ["PATCH /v1/things/x", '{"title":"a","title":"b"}'],
    ["POST /v1/parts/labels", '{"a":1,"a":2}'],
    ["PATCH /v1/things/x", '{"title":"a"},"updateMask":"title"'],
    ["POST /v1/parts/note", "x"],
  ])("%s %s", (request, body) => {
    expect(gatewayErrorOf(() => bind(request, body)).reason).toBe("MALFORMED_BODY");
  });

  test("bytes that are not UTF-8", () => {
    const bytes = Buffer.from([0x22, 0xff, 0x22]);
    expect(gatewayErrorOf(() => bind("POST /v1/parts/note", bytes)).reason).toBe("MALFORMED_BODY");
  });

  test("nesting beyond every limit is refused, and breaks nothing", () => {
    const deep = `${'{"self":'.repeat(5000)}{}${"}".repeat(5000)}`;
    expect(gatewayErrorOf(() => bind("POST /v1/body", deep)).httpStatus).toBe(400);
    const whereTextIsWanted = `{"title":${"[".repeat(10_000)}${"]".repeat(10_000)}}`;
    expect(gatewayErrorOf(() => bind("POST /v1/body", whereTextIsWanted)).httpStatus).toBe(400);
    const brackets = `{"value":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
    expect(gatewayErrorOf(() => bind("POST /v1/body", brackets)).httpStatus).toBe(400);
  });
});

describe("a PATCH without a mask gets one from the keys of its body", () => {
  test.each([
    ["{}", undefined],
    ['{"title":"x"}', "title"],
    ['{"title":""}', "title"],
    ['{"title":null}', "title"],
    ['{"title":"x","tags":[]}', "title,tags"],
    ['{"nested":{"count":1,"deeper":{"name":"x"}}}', "nested"],
    ['{"nested":{}}', "nested"],
    ['{"nested":null}', "nested"],
    ['{"labels":{"a":"b"}}', "labels"],
    ['{"id":"x","title":"y"}', "title"],
    ['{"etag":"1","owner":"me","title":"y"}', "title"],
    ['{"etag":"1"}', undefined],
    ['{"createTime":"2026-01-31T12:00:00Z","title":"y"}', "title"],
  ])("%s", (body, mask) => {
    const bound = bind("PATCH /v1/things/x", body);
    expect((bound as { updateMask?: string }).updateMask).toBe(mask);
  });

  test("and one with a mask keeps it", () => {
    expect(bind("PATCH /v1/things/x?update_mask=tags", '{"title":"y"}')).toMatchObject({ updateMask: "tags" });
  });
});
