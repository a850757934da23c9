import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { growingPercent } from "../../src/commands/serve/tune-heap.ts";

const mebibyte = 1024 * 1024;

test.each([
  ["a small heap doubles", { kept: 20, now: 39 }, 100],
  ["one of usual size grows up to 112 MiB", { kept: 64, now: 111 }, 75],
  ["one that keeps nearly as much grows by three tenths", { kept: 100, now: 111 }, 30],
  ["one that has become large grows by three tenths, whatever it kept before", { kept: 64, now: 150 }, 30],
])("%s before it is collected", (_what, { kept, now }, percent) => {
  expect(growingPercent({ kept: kept * mebibyte, now: now * mebibyte })).toBe(percent);
});

test("V8 lets a heap of usual size grow by more than three tenths", () => {
  const module = new URL("../../src/commands/serve/tune-heap.ts", import.meta.url).href;
  // Keeps 60 MiB, and makes objects that live just long enough to become old ones.
  const program = `
    import { setTimeout as delay } from "node:timers/promises";
    import { getHeapSpaceStatistics } from "node:v8";
    import { tuneHeap } from ${JSON.stringify(module)};
    tuneHeap();
    const old = () => getHeapSpaceStatistics().filter((space) => !space.space_name.startsWith("new_"))
      .reduce((sum, space) => sum + space.space_used_size, 0) / ${mebibyte};
    const objects = () => Array.from({ length: 10_000 }, (_, number) => ({ number }));
    const kept = [];
    while (old() < 60) kept.push(objects());
    const peaks = [];
    let [soon, highest, before] = [[], 0, old()];
    for (let turn = 0; turn < 1_500 && peaks.length < 4; turn++) {
      soon = soon.length > 12 ? [] : [...soon, objects()];
      await delay(10);
      const now = old();
      highest = Math.max(highest, now);
      if (now < before - 8) {
        peaks.push(highest);
        highest = 0;
      }
      before = now;
    }
    console.log(JSON.stringify({ peaks, kept: kept.length }));
  `;
  const options = ["--max-semi-space-size=2", "--input-type=module", "--eval", program];
  const { peaks } = JSON.parse(execFileSync(process.execPath, options, { encoding: "utf8" }));
  // With three tenths none of them is above 90.
  expect(Math.max(...peaks)).toBeGreaterThan(98);
});
