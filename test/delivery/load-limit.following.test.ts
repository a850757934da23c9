import { expect, test } from "vitest";
import { createLoadLimit } from "../../src/delivery/load-limit.ts";

let nowMs = 0;
let load = 0;
let waiting = 0;

function limitOf(options: { most: number; whenBusy: number }) {
  nowMs = 0;
  load = 0;
  waiting = 10_000;
  const limit = createLoadLimit({ ...options, utilization: () => load, now: () => nowMs });
  /** What the limit is after so many seconds of that load, asked for every 10 ms. */
  const after = (seconds: number, present: number): number => {
    load = present;
    for (const end = nowMs + seconds * 1000; nowMs < end; nowMs += 10) limit(() => waiting);
    return limit(() => waiting);
  };
  return { after };
}

test("a process that is busy all the time and has far more before it comes down to what it gets along with, and no further", () => {
  const { after } = limitOf({ most: 2_000, whenBusy: 1_000 });
  expect(after(0, 1)).toBe(2_000);
  expect(after(0.5, 1)).toBeLessThan(2_000);
  expect(after(2, 1)).toBe(1_000);
  expect(after(60, 0.95)).toBe(1_000);
});

test("one that waits for its receivers, whatever it has before it, comes up to the most again, and no further", () => {
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

test("one that is busy, and has before it no more than it may take, keeps what it may, and comes up to it again", () => {
  const { after } = limitOf({ most: 2_000, whenBusy: 1_000 });
  waiting = 2_000;
  expect(after(60, 1)).toBe(2_000);
  waiting = 2_001;
  expect(after(2, 1)).toBe(1_000);
  waiting = 2_000;
  expect(after(0.5, 1)).toBeGreaterThan(1_000);
  expect(after(2, 1)).toBe(2_000);
});

test("where fewer than that are allowed in all, it is these, busy or not", () => {
  const { after } = limitOf({ most: 10, whenBusy: 1_000 });
  expect(after(5, 1)).toBe(10);
});

test("by itself it follows the event loop that it runs in", async () => {
  const limit = createLoadLimit({ most: 100, whenBusy: 1 });
  const began = performance.now();
  // As long as nothing else gets a turn, the loop is busy.
  while (performance.now() - began < 300) limit(() => 101);
  expect(limit(() => 101)).toBeLessThan(100);
});
