import { expect, test } from "vitest";
import { createLoadLimit } from "../../src/delivery/load-limit.ts";

let nowMs = 0;
let load = 0;

function limitOf(options: { most: number; whenBusy: number }) {
  nowMs = 0;
  load = 0;
  const limit = createLoadLimit({ ...options, utilization: () => load, now: () => nowMs });
  /** What the limit is after so many seconds of that load, asked for every 10 ms. */
  const after = (seconds: number, present: number): number => {
    load = present;
    for (const end = nowMs + seconds * 1000; nowMs < end; nowMs += 10) limit();
    return limit();
  };
  return { limit, after };
}

test("a process that is busy all the time comes down to what it gets along with, and no further", () => {
  const { limit, after } = limitOf({ most: 2_000, whenBusy: 1_000 });
  expect(limit()).toBe(2_000);
  expect(after(0.5, 1)).toBeLessThan(2_000);
  expect(after(2, 1)).toBe(1_000);
  expect(after(60, 0.95)).toBe(1_000);
});

test("one that waits for its receivers comes up to the most again, and no further", () => {
  const { after } = limitOf({ most: 2_000, whenBusy: 1_000 });
  expect(after(2, 1)).toBe(1_000);
  expect(after(0.5, 0.5)).toBeGreaterThan(1_000);
  expect(after(2, 0.5)).toBe(2_000);
  expect(after(60, 0)).toBe(2_000);
});

test("between the two it stays where it is", () => {
  const { after } = limitOf({ most: 2_000, whenBusy: 1_000 });
  const middle = after(0.5, 1);
  expect(after(10, 0.85)).toBe(middle);
});

test("where fewer than that are allowed in all, it is these, busy or not", () => {
  const { after } = limitOf({ most: 10, whenBusy: 1_000 });
  expect(after(5, 1)).toBe(10);
});

test("by itself it follows the event loop that it runs in", async () => {
  const limit = createLoadLimit({ most: 100, whenBusy: 1 });
  const began = performance.now();
  // As long as nothing else gets a turn, the loop is busy.
  while (performance.now() - began < 300) limit();
  expect(limit()).toBeLessThan(100);
});
