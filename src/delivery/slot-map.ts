/** A map from texts to values, in the order in which they were added. */
export interface SlotMap<Value> {
  readonly size: number;
  has(key: string): boolean;
  /** Of a key that is there already the value is replaced, and its place stays. */
  set(key: string, value: Value): void;
  /** Says whether the key was there. */
  delete(key: string): boolean;
  /** The values, the oldest first. What is deleted meanwhile is left out. */
  values(): Iterable<Value>;
}

/**
 * Makes an empty map for values that come and go thousands of times a second. It does what Map does, but lets V8 collect the values while they are
 * young: a Map that has taken in and given up enough entries moves to a new table, and the outgrown one keeps its entries and a link to the
 * new one, for iterators. Once an outgrown table has lived long enough to be old, the collector of young objects takes every later table, and
 * whatever their values hold, for reachable. Here the tables hold texts and numbers, and the values stand in slots that are emptied.
 */
export function createSlotMap<Value>(): SlotMap<Value> {
  const slotOf = new Map<string, number>();
  const slots: (Value | undefined)[] = [];
  const free: number[] = [];
  return {
    get size() {
      return slotOf.size;
    },
    has: (key) => slotOf.has(key),
    set(key, value) {
      let slot = slotOf.get(key);
      if (slot === undefined) {
        slot = free.pop() ?? slots.length;
        slotOf.set(key, slot);
      }
      slots[slot] = value;
    },
    delete(key) {
      const slot = slotOf.get(key);
      if (slot === undefined) {
        return false;
      }
      slotOf.delete(key);
      slots[slot] = undefined;
      free.push(slot);
      return true;
    },
    *values() {
      for (const slot of slotOf.values()) {
        const value = slots[slot];
        if (value !== undefined) {
          yield value;
        }
      }
    },
  };
}
