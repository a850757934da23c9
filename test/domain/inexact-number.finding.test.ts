import fc from "fast-check";
import { expect, it } from "vitest";
import { findInexactNumber, inexactNumberProblem } from "../../src/domain/inexact-number.ts";

const find = (json: string): string | undefined => findInexactNumber(Buffer.from(json));

it.each([
  "0",
  "-0",
  "0.1",
  "1.50",
  "1e20",
  "100000000000000000000",
  "9007199254740992",
  "0.30000000000000004",
  "5e-324",
  "1.7976931348623157e308",
  '"1e400"',
  '{"9007199254740993":"9007199254740993\\"1e400","a":[1,2.5E+3]}',
  "0.000",
  "0e999999999999",
  "",
  '"open',
])("every number of %s is kept as it is", (json) => {
  expect(find(json)).toBeUndefined();
});

it.each([
  ["1e400", "1e400"],
  ["-1e400", "-1e400"],
  ["1e-400", "1e-400"],
  ["[1,9007199254740993]", "9007199254740993"],
  ['{"a":0.1000000000000000055511151231257827021181}', "0.1000000000000000055511151231257827021181"],
  ["12345678901234567890.5", "12345678901234567890.5"],
])("of %s a reader would keep another number", (json, number) => {
  expect(find(json)).toBe(number);
});

it("whatever JSON.stringify writes is kept", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(find(JSON.stringify(value))).toBeUndefined();
    }),
  );
});

it("every decimal of up to 15 digits is kept", () => {
  const digits = fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 });
  fc.assert(
    fc.property(digits, fc.integer({ min: -290, max: 290 }), (number, exponent) => {
      expect(find(`${number}e${exponent}`)).toBeUndefined();
    }),
  );
});

it("a number of many digits is quoted cut short", () => {
  expect(inexactNumberProblem(Buffer.from("1".repeat(10_000)))?.length).toBeLessThan(200);
});

it.each([
  ["zeros within it", `0.1${"0".repeat(2_000_000)}1`],
  ["zeros before it", `0.${"0".repeat(2_000_000)}1`],
  ["zeros behind it", `0.1${"0".repeat(2_000_000)}`],
  ["digits", `0.${"12".repeat(1_000_000)}`],
])("a number of two megabytes with %s is looked at once, and not once for each digit", (_what, number) => {
  const start = process.threadCpuUsage();
  inexactNumberProblem(Buffer.from(`[${number}]`));
  const { user, system } = process.threadCpuUsage(start);
  // Milliseconds. Once for each digit would take hours.
  expect((user + system) / 1_000).toBeLessThan(10_000);
});
