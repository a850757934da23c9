import { expect, test } from "vitest";
import { createRequestSlots, type Slot } from "../../src/delivery/request-slots.ts";
import { heapGrowth } from "../support/heap-growth.ts";

test("requests become slow in the order in which they began, whatever ended in between", () => {
  let now = 0;
  const slots = createRequestSlots({ max: 10, maxSlow: 3, slowMs: 250, now: () => now, isHeld: () => false });
  const begun: Slot[] = [];
  for (now = 0; now < 6; now++) {
    begun.push(slots.begin());
  }
  slots.end(begun[1]!);
  // It takes the place of the one that ended, and stands last all the same.
  begun.push(slots.begin());
  now = 1_000;
  slots.sweep();
  expect(begun.map(({ isSlow }) => isSlow)).toEqual([true, false, true, true, false, false, false]);
  expect(slots.hasManySlow()).toBe(true);
  slots.end(begun[0]!);
  expect(slots.hasManySlow()).toBe(false);
  slots.sweep();
  expect(begun.map(({ isSlow }) => isSlow)).toEqual([true, false, true, true, true, false, false]);
});

test("a request that has become slow makes room for another one, and its end makes none", () => {
  let now = 0;
  const slots = createRequestSlots({ max: 1, maxSlow: 1, slowMs: 250, now: () => now, isHeld: () => false });
  const slow = slots.begin();
  expect(slots.isFree()).toBe(false);
  now = 250;
  slots.sweep();
  expect(slots.isFree()).toBe(true);
  const other = slots.begin();
  slots.end(slow);
  expect(slots.isFree()).toBe(false);
  slots.end(other);
  expect(slots.isFree()).toBe(true);
});

test("places of requests that are over are collected while they are young", async () => {
  const slots = createRequestSlots({
    max: 1_024,
    maxSlow: 4_096,
    slowMs: 250,
    now: () => Date.now(),
    isHeld: () => false,
  });
  const underWay: Slot[] = [];
  const growth = await heapGrowth(200_000, () => {
    underWay.push(slots.begin());
    if (underWay.length > 50) slots.end(underWay.shift()!);
  });
  expect(growth).toBeLessThan(1_000_000);
});
