import { expect, test } from "vitest";
import { callRate, eventRate, quota, rateText } from "../../src/config/rate-formats.ts";

test.each([
  ["100/s", { count: 100, periodMs: 1_000, burst: 100 }],
  ["6000/m,burst=200", { count: 6_000, periodMs: 60_000, burst: 200 }],
  ["3/h", { count: 3, periodMs: 3_600_000, burst: 3 }],
  ["off", null],
])("%s is a rate of calls, and is written so again", (text, rate) => {
  expect(callRate.parse(text)).toEqual(rate);
  expect(rateText(callRate.parse(text))).toBe(text);
});

test.each(["", "100", "100/d", "0/s", "-1/s", "1.5/s", "100/s,burst=0", "100/s,burst=", "100/s burst=5", "OFF"])(
  "%j is no rate of calls, and the message says what one is",
  (text) => {
    expect(callRate.safeParse(text).error?.issues[0]?.message).toMatch(/^must be a rate such as 100\/s, .+ or off/);
  },
);

test("a rate of events has no burst: each period is counted by itself", () => {
  expect(eventRate.parse("1000/s")).toEqual({ count: 1_000, periodMs: 1_000 });
  expect(eventRate.safeParse("1000/s,burst=5").success).toBe(false);
});

test("a quota is a whole number from 0, or off", () => {
  expect(["0", "1000", "off"].map((text) => quota.parse(text))).toEqual([0, 1_000, null]);
  expect(["-1", "1.5", "many", "1e3"].filter((text) => quota.safeParse(text).success)).toEqual([]);
});
