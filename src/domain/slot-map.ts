import { createSlotIndex } from "./slot-index.ts";
import { createSlotOrder } from "./slot-order.ts";

/** A map from texts to values, in the order in which they were added. */
export interface SlotMap<Value> {
  readonly size: number;
  has(key: string): boolean;
  get(key: string): Value | undefined;
  /** Of a key that is there already the value is replaced, and its place stays. */
  set(key: string, value: Value): void;
  /** Says whether the key was there. */
  delete(key: string): boolean;
  /** The values, the oldest first. What is deleted meanwhile is left out, and what is added meanwhile comes last. */
  values(): Iterable<Value>;
}

/**
 * Makes an empty map for values that come and go thousands of times a second, under keys that nobody can choose. It does what Map does, but lets V8 collect keys and values
 * while they are young: a Map that has taken in and given up enough entries moves to a new table, and the outgrown one keeps its entries and a
 * link to the new one, for iterators. Once an outgrown table has lived long enough to be old, the collector of young objects takes every later table,
 * and whatever it holds, for reachable. Here an entry is a slot in arrays that stay, and the slot is emptied when the entry goes.
 */
export function createSlotMap<Value>(): SlotMap<Value> {
  const index = createSlotIndex();
  const order = createSlotOrder();
  /** By slot. */
  const values: (Value | undefined)[] = [];
  const free: number[] = [];
  let size = 0;
  return {
    get size() {
      return size;
    },
    has: (key) => index.find(key) !== undefined,
    get(key) {
      const slot = index.find(key);
      return slot === undefined ? undefined : values[slot];
    },
    set(key, value) {
      const next = free.at(-1) ?? values.length;
      const known = index.findOrAdd(key, next);
      if (known === undefined) {
        free.pop();
        order.append(next);
        size += 1;
      }
      values[known ?? next] = value;
    },
    delete(key) {
      const slot = index.remove(key);
      if (slot === undefined) {
        return false;
      }
      order.remove(slot);
      values[slot] = undefined;
      free.push(slot);
      size -= 1;
      return true;
    },
    *values() {
      for (const slot of order.slots()) {
        // What stands in the order has a value, which may be undefined by its type.
        yield values[slot] as Value;
      }
    },
  };
}
