import { expect, test } from "vitest";
import { growingPercent } from "../../src/commands/serve/tune-heap.ts";

const mebibyte = 1024 * 1024;

test.each([
  ["a small heap doubles", 20, 100],
  ["one of a usual size grows by 48 MiB", 96, 50],
  ["a large one by three tenths", 400, 30],
])("%s before it is collected", (_what, mebibytes, percent) => {
  expect(growingPercent(mebibytes * mebibyte)).toBe(percent);
});
