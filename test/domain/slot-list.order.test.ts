import fc from "fast-check";
import { expect, test } from "vitest";
import { createSlotList } from "../../src/domain/slot-list.ts";
import { heapGrowth } from "../support/heap-growth.ts";

test("whatever comes and goes, it holds what an array holds, in the same order", () => {
  const steps = fc.array(
    fc.record({ kind: fc.constantFrom("add", "add", "remove", "replace"), index: fc.nat(), value: fc.nat() }),
    { maxLength: 1_000, size: "max" },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const list = createSlotList<number>();
      let expected: { place: number; value: number }[] = [];
      for (const { kind, index, value } of all) {
        const chosen = expected[index % expected.length];
        if (kind === "add" || chosen === undefined) {
          const place = list.nextPlace;
          expect(list.add(value)).toBe(place);
          expect(expected.map((each) => each.place)).not.toContain(place);
          expected.push({ place, value });
        } else if (kind === "remove") {
          list.remove(chosen.place);
          expected = expected.filter((each) => each !== chosen);
          expect(list.get(chosen.place)).toBeUndefined();
        } else {
          list.replace(chosen.place, value);
          chosen.value = value;
        }
        expect(list.size).toBe(expected.length);
        expect(list.first()).toBe(expected[0]?.value);
      }
      expect([...list.values()]).toEqual(expected.map(({ value }) => value));
      expect(expected.map(({ place }) => list.get(place))).toEqual(expected.map(({ value }) => value));
    }),
    { numRuns: 50 },
  );
});

test("places of values that are gone are given again: as many come and go, no place is beyond the most at a time", () => {
  const list = createSlotList<number>();
  const places: number[] = [];
  for (let number = 0; number < 1_000; number++) {
    places.push(list.add(number));
    if (number >= 3) list.remove(places[number - 3]!);
  }
  expect(Math.max(...places)).toBe(3);
  expect([...list.values()]).toEqual([997, 998, 999]);
});

test("what is removed while the values are gone through is left out, and what is added comes last", () => {
  const list = createSlotList<string>();
  const places = ["a", "b", "c"].map((value) => list.add(value));
  const seen: string[] = [];
  for (const value of list.values()) {
    seen.push(value);
    if (value !== "a") continue;
    list.remove(places[0]!);
    list.remove(places[1]!);
    list.add("d");
  }
  expect(seen).toEqual(["a", "c", "d"]);
});

test("values that are gone are collected while they are young", async () => {
  const list = createSlotList<number[]>();
  const places: number[] = [];
  // All values together have 32 MB, and a Set keeps more than 20 of them.
  const growth = await heapGrowth(20_000, (number) => {
    places.push(list.add(new Array(200).fill(number)));
    if (places.length > 50) list.remove(places.shift()!);
  });
  expect(growth).toBeLessThan(2_000_000);
});
