import { describe, expect, test } from "vitest";
import { createBinder, violationsOf } from "./bind-without-server.ts";
import { fixtureRegistry, fixtureService } from "./fixture.ts";

const bind = createBinder([fixtureService], fixtureRegistry);

describe("a path variable sets its field", () => {
  test.each([
    ["GET /v1/path/string/plain", { stringValue: "plain" }],
    ["GET /v1/path/string/a%20b%2Fc%3Fd", { stringValue: "a b/c?d" }],
    ["GET /v1/path/string/a+b", { stringValue: "a+b" }],
    ["GET /v1/path/string/a:b", { stringValue: "a:b" }],
    ["GET /v1/path/string/..", { stringValue: ".." }],
    ["GET /v1/path/string/%2e%2e", { stringValue: ".." }],
    ["GET /v1/path/string/%252F", { stringValue: "%2F" }],
    ["GET /v1/path/string/%C3%BC", { stringValue: "ü" }],
    ["GET /v1/path/string/%00", { stringValue: "\0" }],
    ["GET /v1/path/bool/true", { boolValue: true }],
    ["GET /v1/path/int64/-9223372036854775808", { int64Value: "-9223372036854775808" }],
    ["GET /v1/path/double/-1.5e3", { doubleValue: -1500 }],
    ["GET /v1/path/double/NaN", { doubleValue: "NaN" }],
    ["GET /v1/path/bytes/-_8", { bytesValue: "+/8=" }],
    ["GET /v1/path/bytes/%2B%2F8%3D", { bytesValue: "+/8=" }],
    ["GET /v1/path/enum/COLOR_BLUE", { color: "COLOR_BLUE" }],
    ["GET /v1/path/enum/1", { color: "COLOR_RED" }],
    ["GET /v1/path/nested/x/7", { nested: { count: 7, deeper: { name: "x" } } }],
    ["GET /v1/path/oneof/x", { choiceText: "x" }],
    ["GET /v1/shelves/1/books/2", { name: "shelves/1/books/2" }],
    ["GET /v1/shelves/a%20b/books/c%2Fd", { name: "shelves/a b/books/c%2Fd" }],
    ["GET /v1/shelves/a%2fb/books/c", { name: "shelves/a%2fb/books/c" }],
    ["GET /v1/files/a/b%20c/d", { name: "a/b c/d" }],
    ["GET /v1/files/a//b", { name: "a//b" }],
    ["GET /v1/files/a/../b", { name: "a/../b" }],
    ["GET /v1/files", {}],
    ["GET /v1/files/a/b:read", { name: "a/b" }],
    ["GET /v1/files/a/b:write", { name: "a/b:write" }],
    ["GET /v1/files/a?pageSize=3", { name: "a", pageSize: 3 }],
    ["GET http://host:80/v1/files/a?pageSize=3", { name: "a", pageSize: 3 }],
    ["PURGE /v1/cache/x", { name: "x" }],
    ["REPORT /v1/any/x", { name: "x" }],
  ])("%s", (request, expected) => {
    expect(bind(request)).toEqual(expected);
  });
});

describe("a path segment that does not fit its field is refused and named", () => {
  test.each([
    ["GET /v1/path/bool/yes", 'bool_value: must be true or false, not "yes"'],
    [
      "GET /v1/path/int64/1x",
      'int64_value: must be an integer from -9223372036854775808 to 9223372036854775807, not "1x"',
    ],
    ["GET /v1/path/enum/RED", 'color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE, not "RED"'],
    ["GET /v1/path/nested/x/y", 'nested.count: must be an integer from -2147483648 to 2147483647, not "y"'],
    [
      "GET /v1/path/oneof/x?choiceNumber=1",
      "choice_number: cannot be set beside choice_text: the oneof choice holds one of them",
    ],
  ])("%s", (request, expected) => {
    expect(violationsOf(() => bind(request))).toEqual([expected]);
  });
});

test("the path's value stands; a body may repeat it, leave it out, and not contradict it", () => {
  expect(bind("PUT /v1/body/x", '{"int32Value":1}')).toEqual({ stringValue: "x", int32Value: 1 });
  expect(bind("PUT /v1/body/x", '{"stringValue":"x"}')).toEqual({ stringValue: "x" });
  expect(bind("PUT /v1/body/x", '{"stringValue":null}')).toEqual({ stringValue: "x" });
  expect(violationsOf(() => bind("PUT /v1/body/x", '{"string_value":"y"}'))).toEqual([
    "string_value: is set by the path, and the body says otherwise: leave it out of the body",
  ]);
  expect(violationsOf(() => bind("POST /v1/things/x:cancel", '{"thing":{"id":"y"}}'))).toEqual([
    "thing.id: is set by the path, and the body says otherwise: leave it out of the body",
  ]);
});
