import { describe, expect, test } from "vitest";
import { createBinder, gatewayErrorOf, violationsOf } from "./bind-without-server.ts";
import { fixtureRegistry, fixtureService } from "./fixture.ts";

const bind = createBinder([fixtureService], fixtureRegistry);
const query = (text: string) => bind(`GET /v1/query?${text}`);

describe("a query parameter sets the field that it names", () => {
  test.each([
    ["stringValue=a%20b+c", { stringValue: "a b c" }],
    ["string_value=x", { stringValue: "x" }],
    ["stringValue=%C3%BC%2B%26%3D", { stringValue: "ü+&=" }],
    ["stringValue=a=b", { stringValue: "a=b" }],
    ["string%5Fvalue=x", { stringValue: "x" }],
    ["otherName=x", { otherName: "x" }],
    ["renamed=x", { otherName: "x" }],
    ["", {}],
    ["&&", {}],
    ["optionalString", { optionalString: "" }],
    ["optionalString=", { optionalString: "" }],
    ["optionalInt32=0", { optionalInt32: 0 }],
    ["boolValue=true", { boolValue: true }],
    ["boolValue=false", {}],
    ["int32Value=-2147483648", { int32Value: -2147483648 }],
    ["int32Value=2147483647", { int32Value: 2147483647 }],
    ["int32Value=0007", { int32Value: 7 }],
    ["sint32Value=-1", { sint32Value: -1 }],
    ["sfixed32Value=-1", { sfixed32Value: -1 }],
    ["uint32Value=4294967295", { uint32Value: 4294967295 }],
    ["fixed32Value=4294967295", { fixed32Value: 4294967295 }],
    ["int64Value=-9223372036854775808", { int64Value: "-9223372036854775808" }],
    ["sint64Value=9223372036854775807", { sint64Value: "9223372036854775807" }],
    ["sfixed64Value=9007199254740993", { sfixed64Value: "9007199254740993" }],
    ["uint64Value=18446744073709551615", { uint64Value: "18446744073709551615" }],
    ["fixed64Value=18446744073709551615", { fixed64Value: "18446744073709551615" }],
    ["floatValue=1.5", { floatValue: 1.5 }],
    ["floatValue=NaN", { floatValue: "NaN" }],
    ["doubleValue=Infinity", { doubleValue: "Infinity" }],
    ["doubleValue=-Infinity", { doubleValue: "-Infinity" }],
    ["doubleValue=-1.25e-3", { doubleValue: -0.00125 }],
    ["doubleValue=1e%2B300", { doubleValue: 1e300 }],
    ["doubleValue=.5", { doubleValue: 0.5 }],
    ["bytesValue=-_8%3D", { bytesValue: "+/8=" }],
    ["bytesValue=-_8", { bytesValue: "+/8=" }],
    ["bytesValue=%2B/8=", { bytesValue: "+/8=" }],
    ["bytesValue=+/8=", { bytesValue: "+/8=" }],
    ["color=COLOR_RED", { color: "COLOR_RED" }],
    ["color=2", { color: "COLOR_BLUE" }],
    ["color=17", { color: 17 }],
    ["strings=a&strings=b&strings=", { strings: ["a", "b", ""] }],
    ["int64s=1&int64s=-2", { int64s: ["1", "-2"] }],
    ["colors=COLOR_RED&colors=2", { colors: ["COLOR_RED", "COLOR_BLUE"] }],
    ["blobs=AQ&blobs=Ag==", { blobs: ["AQ==", "Ag=="] }],
    ["timestamp=2026-01-31T12:00:00.5Z", { timestamp: "2026-01-31T12:00:00.500Z" }],
    ["timestamp=2026-01-31T12:00:00%2B01:00", { timestamp: "2026-01-31T11:00:00Z" }],
    [
      "timestamps=2026-01-31T12:00:00Z&timestamps=2026-02-01T12:00:00Z",
      { timestamps: ["2026-01-31T12:00:00Z", "2026-02-01T12:00:00Z"] },
    ],
    ["duration=1.5s", { duration: "1.500s" }],
    ["duration=-3s", { duration: "-3s" }],
    ["fieldMask=title,nested.deeper", { fieldMask: "title,nested.deeper" }],
    ["fieldMask=createTime,create_time", { fieldMask: "createTime,createTime" }],
    ["fieldMask=", { fieldMask: "" }],
    ["boolWrapper=false", { boolWrapper: false }],
    ["int64Wrapper=0", { int64Wrapper: "0" }],
    ["int32Wrapper=-1", { int32Wrapper: -1 }],
    ["uint32Wrapper=1", { uint32Wrapper: 1 }],
    ["uint64Wrapper=1", { uint64Wrapper: "1" }],
    ["stringWrapper=", { stringWrapper: "" }],
    ["bytesWrapper=AQ", { bytesWrapper: "AQ==" }],
    ["doubleWrapper=NaN", { doubleWrapper: "NaN" }],
    ["floatWrapper=0.5", { floatWrapper: 0.5 }],
    ["nested.count=1&nested.deeper.name=x", { nested: { count: 1, deeper: { name: "x" } } }],
    ["nested.deeper.numbers=1&nested.deeper.numbers=2", { nested: { deeper: { numbers: [1, 2] } } }],
    ["self.self.string_value=x", { self: { self: { stringValue: "x" } } }],
    ["choiceText=", { choiceText: "" }],
    ["choiceNumber=0", { choiceNumber: 0 }],
    ["choiceNested.count=1&choiceNested.deeper.name=x", { choiceNested: { count: 1, deeper: { name: "x" } } }],
  ])("%s", (text, expected) => {
    expect(query(text)).toEqual(expected);
  });
});

describe("a parameter that cannot be bound is refused and named", () => {
  test.each([
    ["nope=1", "nope: is not known, as a query parameter"],
    ["nested.nope=1", "nested.nope: is not known, as a query parameter"],
    ["=1", ": is not known, as a query parameter"],
    ["nested..count=1", "nested..count: is not known, as a query parameter"],
    ["StringValue=1", "StringValue: is not known, as a query parameter"],
    ["__proto__=1", "__proto__: is not known, as a query parameter"],
    ["constructor=1", "constructor: is not known, as a query parameter"],
    ["boolValue=1", 'bool_value: must be true or false, not "1"'],
    ["boolValue=", 'bool_value: must be true or false, not ""'],
    ["int32Value=2147483648", 'int32_value: must be an integer from -2147483648 to 2147483647, not "2147483648"'],
    ["int32Value=1.0", 'int32_value: must be an integer from -2147483648 to 2147483647, not "1.0"'],
    ["int32Value=0x10", 'int32_value: must be an integer from -2147483648 to 2147483647, not "0x10"'],
    ["int32Value=", 'int32_value: must be an integer from -2147483648 to 2147483647, not ""'],
    ["uint32Value=-1", 'uint32_value: must be an integer from 0 to 4294967295, not "-1"'],
    [
      "uint64Value=18446744073709551616",
      'uint64_value: must be an integer from 0 to 18446744073709551615, not "18446744073709551616"',
    ],
    ["floatValue=1e39", 'float_value: must be a number, NaN, Infinity or -Infinity, not "1e39"'],
    ["doubleValue=1e309", 'double_value: must be a number, NaN, Infinity or -Infinity, not "1e309"'],
    ["doubleValue=inf", 'double_value: must be a number, NaN, Infinity or -Infinity, not "inf"'],
    ["doubleValue=0x1", 'double_value: must be a number, NaN, Infinity or -Infinity, not "0x1"'],
    ["bytesValue=a", 'bytes_value: must be base64, not "a"'],
    ["bytesValue=a*bc", 'bytes_value: must be base64, not "a*bc"'],
    ["bytesValue=AQ=", 'bytes_value: must be base64, not "AQ="'],
    ["color=RED", 'color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE, not "RED"'],
    ["color=9999999999", 'color: must be one of COLOR_UNSPECIFIED, COLOR_RED, COLOR_BLUE, not "9999999999"'],
    ["timestamp=yesterday", 'timestamp: must be an RFC 3339 time such as 2026-01-31T12:00:00Z, not "yesterday"'],
    ["timestamp=", 'timestamp: must be an RFC 3339 time such as 2026-01-31T12:00:00Z, not ""'],
    ["duration=1", 'duration: must be seconds with an s, such as 1.5s, not "1"'],
    ["duration=1sx", 'duration: must be seconds with an s, such as 1.5s, not "1sx"'],
    ["duration=400000000000s", 'duration: must be seconds with an s, such as 1.5s, not "400000000000s"'],
    ["fieldMask=a,,b", 'field_mask: must be field paths with commas between them, and "" is none'],
    ["fieldMask=line_1", 'field_mask: cannot hold "line_1", whose JSON name does not lead back to it'],
    ["int64Wrapper=x", 'int64_wrapper: must be an integer from -9223372036854775808 to 9223372036854775807, not "x"'],
    ["nested=x", "nested: is a fixture.v1.Nested, which has no form in a URL"],
    ["nesteds=x", "nesteds: is a fixture.v1.Nested, which has no form in a URL"],
    ["nesteds.count=1", "nesteds.count: cannot be reached: nesteds is repeated, as a query parameter"],
    ["labels=x", "labels: is a map, which has no form in a URL"],
    ["labels.a=x", "labels.a: cannot be reached: labels is a map, as a query parameter"],
    ["struct=%7B%7D", "struct: is a google.protobuf.Struct, which has no form in a URL"],
    ["any=x", "any: is a google.protobuf.Any, which has no form in a URL"],
    [
      "timestamp.seconds=1",
      "timestamp.seconds: cannot be reached: timestamp is a google.protobuf.Timestamp, which is one value, as a query parameter",
    ],
    ["stringValue.x=1", "stringValue.x: cannot be reached: string_value has no fields, as a query parameter"],
    ["stringValue=a&stringValue=b", "string_value: is not repeated, and is given twice"],
    ["stringValue=a&string_value=b", "string_value: is not repeated, and is given twice"],
    ["nested.count=1&nested.count=1", "nested.count: is not repeated, and is given twice"],
    [
      "choiceText=a&choiceNumber=1",
      "choice_number: cannot be set beside choice_text: the oneof choice holds one of them",
    ],
    [
      "choiceNested.count=1&choiceText=a",
      "choice_text: cannot be set beside choice_nested: the oneof choice holds one of them",
    ],
  ])("%s", (text, expected) => {
    expect(violationsOf(() => query(text))).toEqual([expected]);
  });
});

test("every wrong parameter is named, up to twenty", () => {
  expect(violationsOf(() => query("nope=1&int32Value=x&stringValue=fine&color=x"))).toHaveLength(3);
  expect(violationsOf(() => query(Array.from({ length: 50 }, (_, i) => `p${i}=1`).join("&")))).toHaveLength(20);
});

test.each(["stringValue=%", "stringValue=%f", "%zz=1", "stringValue=%ff"])("a malformed percent sign: %s", (text) => {
  expect(gatewayErrorOf(() => query(text)).reason).toBe("MALFORMED_QUERY");
});

test("a name nested more than 100 levels deep is refused", () => {
  const name = `${"self.".repeat(100)}stringValue`;
  expect(violationsOf(() => query(`${name}=x`))).toEqual([`${name}: is nested too deeply, as a query parameter`]);
});

test("a parameter for a field of the path or the body is refused, by whatever name", () => {
  expect(violationsOf(() => bind("GET /v1/path/string/x?string_value=y"))).toEqual([
    "string_value: cannot be a query parameter: the path sets it",
  ]);
  expect(violationsOf(() => bind("GET /v1/things/x?thing.id=x"))).toEqual([
    "thing.id: cannot be a query parameter: the path sets it",
  ]);
  expect(violationsOf(() => bind("PATCH /v1/things/x?thing.title=x", "{}"))).toEqual([
    "thing.title: cannot be a query parameter: the body sets it",
  ]);
  expect(violationsOf(() => bind("POST /v1/body?stringValue=x", "{}"))).toEqual([
    "stringValue: cannot be a query parameter: the body holds every field of this request",
  ]);
  expect(bind("GET /v1/things/x?thing.title=y&dryRun=true")).toEqual({ thing: { id: "x", title: "y" }, dryRun: true });
});
