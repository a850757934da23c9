import { expect, test } from "vitest";
import { type CallRate, decideCall } from "../../src/domain/call-rate.ts";
import { rateLimitHeaders } from "../../src/domain/rate-limit-header.ts";

const fast: CallRate = { count: 500, periodMs: 1_000, burst: 1_000 };
const slow: CallRate = { count: 60, periodMs: 60_000, burst: 30 };

test("each limit is an item with its quota and window, and one with what is left", () => {
  const standings = [
    { name: "key", rate: fast, standing: decideCall(fast, 0) },
    { name: "organization", rate: slow, standing: decideCall(slow, 9_500) },
  ];
  expect(rateLimitHeaders(standings)).toEqual({
    "ratelimit-policy": '"key";q=1000;w=2, "organization";q=30;w=30',
    ratelimit: '"key";r=999;t=1, "organization";r=19;t=11',
  });
});

test("where nothing is left, the window ends when the next call is admitted", () => {
  const decision = decideCall(slow, 29_700);
  expect(decision.admitted).toBe(false);
  expect(rateLimitHeaders([{ name: "key", rate: slow, standing: decision }]).ratelimit).toBe('"key";r=0;t=1');
});

test("parameters are whole numbers, however fast the rate", () => {
  const rate: CallRate = { count: 3, periodMs: 1_000, burst: 1 };
  const headers = rateLimitHeaders([{ name: "key", rate, standing: decideCall(rate, 0) }]);
  expect(headers).toEqual({ "ratelimit-policy": '"key";q=1;w=1', ratelimit: '"key";r=0;t=1' });
});
