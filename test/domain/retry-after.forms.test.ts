import fc from "fast-check";
import { expect, test } from "vitest";
import { parseRetryAfter } from "../../src/domain/retry-after.ts";

const nowMs = Date.UTC(1994, 10, 6, 8, 49, 7);

test.each([
  ["0", 0],
  ["120", 120_000],
  [" 7 ", 7_000],
  ["Sun, 06 Nov 1994 08:49:37 GMT", 30_000],
  ["Sunday, 06-Nov-94 08:49:37 GMT", 30_000],
  ["Sun Nov  6 08:49:37 1994", 30_000],
  ["Sun, 06 Nov 1994 08:00:00 GMT", 0],
])("%j is read as %d ms from now", (value, ms) => {
  expect(parseRetryAfter(value, nowMs)).toBe(ms);
});

test.each([
  [undefined],
  [""],
  ["soon"],
  ["-1"],
  ["1.5"],
  ["1e3"],
  ["0x10"],
  ["1994-11-06T08:49:37Z"],
  ["Sun, 06 Nov 1994 08:49:37 CET"],
  ["Sun, 99 Xyz 1994 08:49:37 GMT"],
])("%j is neither seconds nor a date", (value) => {
  expect(parseRetryAfter(value, nowMs)).toBeUndefined();
});

test("whatever a receiver sends, the answer is nothing or a finite time that is not negative", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.bigInt({ min: 0n }).map(String)), (value) => {
      const ms = parseRetryAfter(value, nowMs);
      expect(ms === undefined || (Number.isFinite(ms) && ms >= 0)).toBe(true);
    }),
  );
});
