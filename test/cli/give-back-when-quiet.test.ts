import { execFileSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { giveBackWhenQuiet } from "../../src/commands/serve/give-back-when-quiet.ts";

/** A heap that is worth collecting: 40 MiB and more. */
let kept: object[];
beforeAll(() => {
  kept = Array.from({ length: 1_000_000 }, (_, number) => ({ number }));
});
afterAll(() => {
  kept.length = 0;
});

test("a quiet process collects its heap once, for as long as it has not grown again", async () => {
  const collect = vi.fn();
  giveBackWhenQuiet(collect, 100);
  await expect.poll(() => collect.mock.calls.length).toBe(1);
  await delay(500);
  expect(collect.mock.calls).toEqual([[{ type: "major", flavor: "last-resort", execution: "sync" }]]);
});

test("a busy one does not", async () => {
  const collect = vi.fn();
  giveBackWhenQuiet(collect, 100);
  for (let turn = 0; turn < 50; turn++) {
    spin(10);
    await delay(1);
  }
  expect(collect).not.toHaveBeenCalled();
  await expect.poll(() => collect.mock.calls.length).toBe(1);
});

test("memory goes back to the system", () => {
  const module = new URL("../../src/commands/serve/give-back-when-quiet.ts", import.meta.url).href;
  const program = `
    import { setTimeout as delay } from "node:timers/promises";
    import { giveBackWhenQuiet } from ${JSON.stringify(module)};
    const mebibytes = () => process.memoryUsage.rss() / ${1024 * 1024};
    let objects = Array.from({ length: 2_000_000 }, (_, number) => ({ number }));
    await delay(50);
    const before = mebibytes();
    objects = undefined;
    giveBackWhenQuiet(globalThis.gc, 200);
    const deadline = performance.now() + 10_000;
    while (mebibytes() > before - 50 && performance.now() < deadline) await delay(50);
    console.log(JSON.stringify({ before, after: mebibytes() }));
  `;
  const options = ["--no-memory-reducer", "--expose-gc", "--input-type=module", "--eval", program];
  const { before, after } = JSON.parse(execFileSync(process.execPath, options, { encoding: "utf8" }));
  expect(after).toBeLessThan(before - 50);
});

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
