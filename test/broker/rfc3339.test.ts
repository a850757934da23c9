import fc from "fast-check";
import { expect, test } from "vitest";
import { parseRfc3339 } from "../../src/broker/rfc3339.ts";

test.each([
  ["2026-05-01T12:00:00Z", "2026-05-01T12:00:00.000Z"],
  ["2026-05-01t12:00:00z", "2026-05-01T12:00:00.000Z"],
  ["2026-05-01T12:00:00.1Z", "2026-05-01T12:00:00.100Z"],
  ["2026-05-01T12:00:00.123999999Z", "2026-05-01T12:00:00.123Z"],
  ["2026-05-01T00:30:00+01:30", "2026-04-30T23:00:00.000Z"],
  ["2026-12-31T23:00:00-01:00", "2027-01-01T00:00:00.000Z"],
  ["2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"],
  ["2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"],
  ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"],
])("%s is %s", (text, expected) => {
  expect(parseRfc3339(text)?.toISOString()).toBe(expected);
});

test.each([
  "",
  "2026-05-01",
  "2026-05-01 12:00:00Z",
  "2026-05-01T12:00:00",
  "2026-05-01T12:00Z",
  "2026-05-01T12:00:00,5Z",
  "2026-05-01T12:00:00.Z",
  "2026-13-01T12:00:00Z",
  "2026-00-01T12:00:00Z",
  "2026-02-29T12:00:00Z",
  "2026-05-00T12:00:00Z",
  "2026-05-01T24:00:00Z",
  "2026-05-01T12:60:00Z",
  "2026-05-01T12:00:61Z",
  "2026-05-01T12:00:00+24:00",
  "2026-05-01T12:00:00+0100",
  "0000-05-01T12:00:00Z",
  "+002026-05-01T12:00:00Z",
])("'%s' is no timestamp", (text) => {
  expect(parseRfc3339(text)).toBeUndefined();
});

test("every time that JavaScript writes down is read as the same time", () => {
  const range = {
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59.999Z"),
    noInvalidDate: true,
  };
  fc.assert(
    fc.property(fc.date(range), (time) => {
      expect(parseRfc3339(time.toISOString())).toEqual(time);
    }),
  );
});
