import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createGathering } from "../../src/delivery/gathering.ts";

/** A gathering whose batches stay under way until the test says that they are free. */
function observedGathering(limits: { maxAtOnce: number; maxBatch: number; paceMs?: number; enough?: number }) {
  const batches: { items: readonly string[]; free: () => void; end: () => void }[] = [];
  const add = createGathering<string>({
    paceMs: 0,
    enough: 100,
    ...limits,
    keyOf: (item) => item.slice(0, 1),
    work: (items, free) => new Promise((end) => batches.push({ items, free, end })),
  });
  return { add, batches, begun: () => batches.map(({ items }) => items.join(" ")) };
}

describe("items that are worked on in batches", () => {
  test("what comes alone is begun with at once, and what comes meanwhile goes together", () => {
    const { add, batches, begun } = observedGathering({ maxAtOnce: 1, maxBatch: 10 });
    add(["a"]);
    add(["b"]);
    add(["c", "d"]);
    expect(begun()).toEqual(["a"]);
    batches[0]?.free();
    expect(begun()).toEqual(["a", "b c d"]);
  });

  test("a batch begins some time after the one before it, unless enough wait", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "performance"] });
    onTestFinished(() => void vi.useRealTimers());
    const { add, batches, begun } = observedGathering({ maxAtOnce: 2, maxBatch: 10, paceMs: 5, enough: 3 });
    add(["a"]);
    batches[0]?.free();
    add(["b"]);
    vi.advanceTimersByTime(4);
    add(["c"]);
    expect(begun()).toEqual(["a"]);
    vi.advanceTimersByTime(1);
    expect(begun()).toEqual(["a", "b c"]);
    batches[1]?.free();
    add(["d", "e", "f"]);
    expect(begun()).toEqual(["a", "b c", "d e f"]);
  });

  test("no batch is larger than it may be, and no more are under way than may", () => {
    const { add, batches, begun } = observedGathering({ maxAtOnce: 2, maxBatch: 2 });
    add(["a", "b", "c", "d", "e"]);
    expect(begun()).toEqual(["a b", "c d"]);
    batches[1]?.free();
    expect(begun()).toEqual(["a b", "c d", "e"]);
  });

  test("two items of one key are in different batches, in their order", () => {
    const { add, batches, begun } = observedGathering({ maxAtOnce: 1, maxBatch: 10 });
    add(["a1", "b1", "a2", "c1"]);
    batches[0]?.free();
    expect(begun()).toEqual(["a1 b1 c1", "a2"]);
  });

  test("work that ends without a word makes room, and work that says so twice makes room for one", async () => {
    const { add, batches, begun } = observedGathering({ maxAtOnce: 1, maxBatch: 1 });
    add(["a", "b", "c"]);
    batches[0]?.end();
    await nextTurn();
    expect(begun()).toEqual(["a", "b"]);
    batches[1]?.free();
    batches[1]?.free();
    batches[1]?.end();
    add(["d"]);
    await nextTurn();
    expect(begun()).toEqual(["a", "b", "c"]);
  });
});
