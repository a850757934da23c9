import fc from "fast-check";
import { expect, test } from "vitest";
import { isoTime } from "../../src/domain/iso-time.ts";

test("times are written as Date writes them, one after the other in a second and far apart", () => {
  fc.assert(
    fc.property(fc.date({ noInvalidDate: true }), fc.array(fc.integer({ min: -2_000, max: 2_000 })), (first, steps) => {
      for (const step of [0, ...steps]) {
        const time = new Date(first.getTime() + step);
        if (!Number.isNaN(time.getTime())) expect(isoTime(time)).toBe(time.toISOString());
      }
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  "1969-12-31T23:59:59.999Z",
  "1970-01-01T00:00:00.000Z",
  "0001-01-01T00:00:00.007Z",
  "-000001-12-31T23:59:59.080Z",
  "+010000-01-01T00:00:00.500Z",
])("%s comes back", (text) => {
  expect(isoTime(new Date(text))).toBe(text);
});

test("a time that is none is an error, as it is for Date", () => {
  expect(() => isoTime(new Date(Number.NaN))).toThrow(RangeError);
});
