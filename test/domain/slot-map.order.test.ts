import fc from "fast-check";
import { expect, test } from "vitest";
import { createSlotMap } from "../../src/domain/slot-map.ts";
import { heapGrowth } from "../support/heap-growth.ts";

test("values come in the order in which their keys were added, however many came and went before", () => {
  const map = createSlotMap<number>();
  for (let number = 0; number < 1_000; number++) {
    map.set(`key ${number}`, number);
    if (number >= 3) map.delete(`key ${number - 3}`);
  }
  expect([...map.values()]).toEqual([997, 998, 999]);
  expect(map.size).toBe(3);
  expect(map.has("key 999")).toBe(true);
  expect(map.has("key 996")).toBe(false);
});

test("a key that is there already keeps its place and gets the new value", () => {
  const map = createSlotMap<string>();
  map.set("a", "first");
  map.set("b", "second");
  map.set("a", "third");
  expect([...map.values()]).toEqual(["third", "second"]);
  expect(map.size).toBe(2);
});

test("what is deleted while the values are gone through is left out", () => {
  const map = createSlotMap<string>();
  for (const key of ["a", "b", "c"]) map.set(key, key);
  const seen: string[] = [];
  for (const value of map.values()) {
    seen.push(value);
    map.delete("b");
  }
  expect(seen).toEqual(["a", "c"]);
});

test("deleting says whether the key was there", () => {
  const map = createSlotMap<string>();
  map.set("a", "a");
  expect(map.delete("a")).toBe(true);
  expect(map.delete("a")).toBe(false);
});

test("values that are gone are collected while they are young", async () => {
  const map = createSlotMap<number[]>();
  // All values together have 32 MB, and a Map keeps more than 20 of them.
  const growth = await heapGrowth(20_000, (number) => {
    map.set(`key ${number}`, new Array(200).fill(number));
    map.delete(`key ${number - 50}`);
  });
  expect(growth).toBeLessThan(2_000_000);
});

test("whatever comes and goes, it holds what a Map holds, in the same order", () => {
  const steps = fc.array(
    fc.record({ kind: fc.constantFrom("set", "set", "delete"), key: fc.nat({ max: 400 }), value: fc.nat() }),
    { maxLength: 2_000, size: "max" },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const map = new Map<string, number>();
      const slots = createSlotMap<number>();
      for (const { kind, key, value } of all) {
        const name = `tellwire-events:${key}`;
        if (kind === "set") {
          map.set(name, value);
          slots.set(name, value);
        } else {
          expect(slots.delete(name)).toBe(map.delete(name));
        }
        expect(slots.get(name)).toBe(map.get(name));
      }
      expect(slots.size).toBe(map.size);
      expect([...slots.values()]).toEqual([...map.values()]);
      for (let key = 0; key <= 400; key++) {
        expect(slots.has(`tellwire-events:${key}`)).toBe(map.has(`tellwire-events:${key}`));
      }
    }),
    { numRuns: 50 },
  );
});

test("what is added while the values are gone through comes last", () => {
  const map = createSlotMap<string>();
  map.set("a", "a");
  const seen: string[] = [];
  for (const value of map.values()) {
    seen.push(value);
    if (seen.length < 3) {
      map.delete(value);
      map.set(`${value}a`, `${value}a`);
    }
  }
  expect(seen).toEqual(["a", "aa", "aaa"]);
});

test("keys that are gone are collected while they are young", async () => {
  const map = createSlotMap<number>();
  const growth = await heapGrowth(20_000, (number) => {
    map.set(`${number} ${"x".repeat(1_000)}`, number);
    map.delete(`${number - 50} ${"x".repeat(1_000)}`);
  });
  expect(growth).toBeLessThan(2_000_000);
});
