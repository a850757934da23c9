import { expect, test } from "vitest";
import { createDeadlines } from "../../src/outbound/deadlines.ts";
import { waitFor } from "../support/wait-for.ts";

test("what is not cleared is called back once, at its time and not before", async () => {
  const deadlines = createDeadlines();
  const called: number[] = [];
  const startedMs = performance.now();
  for (const ms of [30, 60, 90]) {
    const deadline = deadlines.set(startedMs + ms, () => {
      called.push(performance.now() - startedMs);
      deadlines.clear(deadline);
    });
  }
  await waitFor(() => called.length === 3);
  expect(called[0]).toBeGreaterThanOrEqual(30);
  expect(called[1]).toBeGreaterThanOrEqual(60);
  expect(called[2]).toBeGreaterThanOrEqual(90);
});

test("what is cleared is not called back, and its place serves another one", async () => {
  const deadlines = createDeadlines();
  const called: string[] = [];
  const startedMs = performance.now();
  const cleared = deadlines.set(startedMs + 20, () => called.push("cleared"));
  deadlines.clear(cleared);
  const next = deadlines.set(startedMs + 40, () => {
    called.push("next");
    deadlines.clear(next);
  });
  expect(next).toBe(cleared);
  await waitFor(() => called.length > 0);
  expect(called).toEqual(["next"]);
});

test("one that is called back may clear another that is due at the same time", async () => {
  const deadlines = createDeadlines();
  const called: string[] = [];
  const atMs = performance.now() + 20;
  const first = deadlines.set(atMs, () => {
    called.push("first");
    deadlines.clear(first);
    deadlines.clear(second);
  });
  const second = deadlines.set(atMs, () => called.push("second"));
  let isOver = false;
  const last = deadlines.set(atMs + 50, () => {
    isOver = true;
    deadlines.clear(last);
  });
  await waitFor(() => isOver);
  expect(called).toEqual(["first"]);
});
