import { createSlotOrder } from "./slot-order.ts";

/** A list of values, in the order in which they were added, of which any can be taken out by its place. */
export interface SlotList<Value> {
  readonly size: number;
  /** The place that the next value gets: below the largest number of values that the list ever had at a time. */
  readonly nextPlace: number;
  /** Adds the value at the end, and returns its place, which is its own until it is removed. */
  add(value: Value): number;
  get(place: number): Value | undefined;
  /** Puts another value at the place, which must be in use. It stands where the one before stood. */
  replace(place: number, value: Value): void;
  /** The place must be in use. */
  remove(place: number): void;
  /** The one that was added first. */
  first(): Value | undefined;
  /** The oldest first. What is removed meanwhile is left out, and what is added meanwhile comes last. */
  values(): Iterable<Value>;
}

/**
 * Makes an empty list for values that come and go thousands of times a second. It does what Set does for whoever remembers the places, but lets V8
 * collect the values while they are young: a Set, or a Map, that has taken in and given up enough entries moves to a new table, and the outgrown one
 * keeps its entries and a link to the new one, for iterators. Once an outgrown table has lived long enough to be old, the collector of young
 * objects takes every later table, and whatever it holds, for reachable. Here a place is an index of arrays that stay, and is emptied when the value goes.
 */
export function createSlotList<Value>(): SlotList<Value> {
  const order = createSlotOrder();
  /** By place. */
  const values: (Value | undefined)[] = [];
  const free: number[] = [];
  return {
    get size() {
      return values.length - free.length;
    },
    get nextPlace() {
      return free.at(-1) ?? values.length;
    },
    add(value) {
      const place = free.pop() ?? values.length;
      values[place] = value;
      order.append(place);
      return place;
    },
    get: (place) => values[place],
    replace(place, value) {
      values[place] = value;
    },
    remove(place) {
      order.remove(place);
      values[place] = undefined;
      free.push(place);
    },
    first() {
      for (const place of order.slots()) {
        return values[place];
      }
      return undefined;
    },
    *values() {
      for (const place of order.slots()) {
        // What stands in the order has a value, which may be undefined by its type.
        yield values[place] as Value;
      }
    },
  };
}
