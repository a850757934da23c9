import type { JsonValue } from "@bufbuild/protobuf";
import fc from "fast-check";

/** Texts that have broken parsers, stores and headers before. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    "",
    " ",
    "\u0000",
    "a\u0000b",
    "\ud800",
    "x\udfff",
    "\ufeff{}",
    "\ufffe",
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "../../etc/passwd",
    "%00",
    "%2e%2e%2f",
    "%",
    "a\r\nx-injected: 1",
    "' or 1=1 --",
    "$1",

    "{{7*7}}",
    "null",
    "NaN",
    "-0",
    "1e400",
    "9007199254740993",
    "\u202e\u0301\u{1f600}",
    "org_00000000000000000000000000",
    "wh_7zzzzzzzzzzzzzzzzzzzzzzzzz",
    "00000000-0000-0000-0000-000000000000",
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 12 }).map((text) => text.padEnd(300, "x")),
  fc.integer({ min: 100, max: 5_000 }).map((length) => "é".repeat(length)),
);

/** A JSON value within the types that JSON has, a few levels deep. */
export const plainJson: fc.Arbitrary<JsonValue> = fc
  .jsonValue({ maxDepth: 3 })
  .map((value) => JSON.parse(JSON.stringify(value)) as JsonValue);

/** JSON texts that are at the edge of what JSON is, and some beyond it. */
export const edgeJsonText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(
    '{"a":1,"a":2}',
    '{"__proto__":{"polluted":true}}',
    '{"constructor":{"prototype":{"polluted":true}}}',
    "1e400",
    "-1e400",
    "1e-400",
    "9007199254740993",
    "0.1000000000000000055511151231257827021181",
    "-0",
    '"\\ud800"',
    '{"\\ud800":1}',
    '"\\u0000"',
    '{"\\u0000":1}',
    "\ufeff{}",
    "{}\u0000",
    "[1,]",
    "{'a':1}",
    "// nothing\n{}",
    "NaN",
    "Infinity",
    "undefined",
    "",
    " ",
    "{",
    '"',
    "[[[[",
    "0x10",
    "01",
    "tru",
    "null",
    "true",
    "7",
    '"text"',
  ),
  fc
    .constantFrom(10, 60, 64, 65, 99, 101, 1_000, 10_000)
    .chain((depth) =>
      fc.constantFrom(
        "[".repeat(depth) + "]".repeat(depth),
        `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`,
        "[".repeat(depth),
      ),
    ),
  fc.json({ maxDepth: 4 }),
);

/** Integers where arithmetic goes wrong. */
export const edgeInteger: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, 1, -1, 50, 200, 201, 2 ** 31 - 1, -(2 ** 31)),
  fc.integer(),
);

/** Most of the time what is good, sometimes the other. */
export function mostly<Value>(good: fc.Arbitrary<Value>, other: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  return fc.oneof({ arbitrary: good, weight: 5 }, { arbitrary: other, weight: 1 });
}
