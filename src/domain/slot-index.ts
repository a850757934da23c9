/** Finds the slots of texts: a hash table that keeps nothing of what was removed. */
export interface SlotIndex {
  find(key: string): number | undefined;
  /** The slot of the key where it is there; else takes the given slot, which must not be in use, for it, and returns undefined. */
  findOrAdd(key: string, slot: number): number | undefined;
  /** The slot that the key had. */
  remove(key: string): number | undefined;
}

/**
 * Makes an empty index with open addressing. It keeps room for as many as it ever had at a time. Its hash (FNV-1a, of the code units) is no
 * secret: not for keys that somebody could choose to collide.
 */
export function createSlotIndex(): SlotIndex {
  /** By slot. */
  const keys: (string | undefined)[] = [];
  const hashes: number[] = [];
  /** Slots, at the place that the hash of the key names, or behind it. Its length is a power of two, and at most half of it is in use. */
  let table = new Int32Array(leastPlaces).fill(noSlot);
  let size = 0;

  const slotAt = (place: number): number => table[place] ?? noSlot;
  const after = (place: number): number => (place + 1) & (table.length - 1);
  const firstPlace = (hash: number): number => hash & (table.length - 1);

  /** Where the key stands, or else the gap where it would. */
  const placeOf = (key: string, hash: number): number => {
    let place = firstPlace(hash);
    while (slotAt(place) !== noSlot && !(hashes[slotAt(place)] === hash && keys[slotAt(place)] === key)) {
      place = after(place);
    }
    return place;
  };
  const enlarge = (): void => {
    const slots = table.filter((slot) => slot !== noSlot);
    table = new Int32Array(table.length * 2).fill(noSlot);
    for (const slot of slots) {
      table[placeOf(keys[slot] ?? "", hashes[slot] ?? 0)] = slot;
    }
  };
  /** Whoever stands behind the place only because it was taken moves up: nobody is looked for beyond a gap. */
  const clear = (cleared: number): void => {
    let gap = cleared;
    for (let place = after(gap); slotAt(place) !== noSlot; place = after(place)) {
      const wanted = firstPlace(hashes[slotAt(place)] ?? 0);
      const isBehindGap = firstPlace(place - wanted) >= firstPlace(place - gap);
      if (isBehindGap) {
        table[gap] = slotAt(place);
        gap = place;
      }
    }
    table[gap] = noSlot;
  };

  return {
    find(key) {
      const slot = slotAt(placeOf(key, hashOf(key)));
      return slot === noSlot ? undefined : slot;
    },
    findOrAdd(key, slot) {
      const hash = hashOf(key);
      const place = placeOf(key, hash);
      const found = slotAt(place);
      if (found !== noSlot) {
        return found;
      }
      table[place] = slot;
      keys[slot] = key;
      hashes[slot] = hash;
      size += 1;
      if (size * 2 > table.length) {
        enlarge();
      }
      return undefined;
    },
    remove(key) {
      const place = placeOf(key, hashOf(key));
      const slot = slotAt(place);
      if (slot === noSlot) {
        return undefined;
      }
      clear(place);
      keys[slot] = undefined;
      size -= 1;
      return slot;
    },
  };
}

const noSlot = -1;
const leastPlaces = 128;

function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  // The low bits, which choose the place, hear of the high ones.
  return hash ^ (hash >>> 15);
}
