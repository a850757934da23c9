import { expect, it } from "vitest";
import { inOrder } from "../../src/api/in-order.ts";

it("results come in the order of the items, however long each takes", async () => {
  const gates = Array.from({ length: 4 }, () => Promise.withResolvers<void>());
  const results = inOrder(numbers(4), {
    window: 4,
    work: async (item) => {
      await gates[item]!.promise;
      return item * 10;
    },
  });
  const first = results.next();
  for (const index of [3, 2, 1]) gates[index]!.resolve();
  gates[0]!.resolve();
  expect(await first).toEqual({ value: 0, done: false });
  expect(await rest(results)).toEqual([10, 20, 30]);
});

it("the window is filled, and no more than it is under way or read ahead", async () => {
  let underWay = 0;
  let read = 0;
  const full = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  async function* items() {
    for (; read < 50; read += 1) yield read;
  }
  const results = inOrder(items(), {
    window: 5,
    work: async (item) => {
      underWay += 1;
      expect(underWay).toBeLessThanOrEqual(5);
      if (underWay === 5) full.resolve();
      await gate.promise;
      underWay -= 1;
      return item;
    },
  });
  const first = results.next();
  await full.promise;
  expect(read).toBeLessThanOrEqual(5);
  gate.resolve();
  await first;
  expect(await rest(results)).toHaveLength(49);
});

it("a failure of the source ends the results after those that it had given", async () => {
  async function* failing() {
    yield 1;
    throw new Error("the caller went away");
  }
  const results = inOrder(failing(), { window: 2, work: async (item) => item });
  await expect(rest(results)).rejects.toThrow("the caller went away");
});

it("a reader that stops early closes the source", async () => {
  let closed = false;
  async function* items() {
    try {
      for (let item = 0; ; item += 1) yield item;
    } finally {
      closed = true;
    }
  }
  for await (const result of inOrder(items(), { window: 2, work: async (item) => item })) {
    if (result === 3) break;
  }
  expect(closed).toBe(true);
});

async function* numbers(count: number): AsyncGenerator<number> {
  for (let item = 0; item < count; item += 1) yield item;
}

async function rest<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
