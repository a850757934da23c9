import { createSlotIndex } from "./slot-index.ts";
import { createSlotList } from "./slot-list.ts";

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
 * while they are young (see slot-list.ts).
 */
export function createSlotMap<Value>(): SlotMap<Value> {
  const index = createSlotIndex();
  const list = createSlotList<Value>();
  return {
    get size() {
      return list.size;
    },
    has: (key) => index.find(key) !== undefined,
    get(key) {
      const place = index.find(key);
      return place === undefined ? undefined : list.get(place);
    },
    set(key, value) {
      const known = index.findOrAdd(key, list.nextPlace);
      if (known === undefined) {
        list.add(value);
      } else {
        list.replace(known, value);
      }
    },
    delete(key) {
      const place = index.remove(key);
      if (place === undefined) {
        return false;
      }
      list.remove(place);
      return true;
    },
    values: list.values,
  };
}
