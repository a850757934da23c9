/** The order in which slots were appended: a list that keeps nothing of what was removed. */
export interface SlotOrder {
  /** The slot must not be in the order. */
  append(slot: number): void;
  /** The slot must be in the order. */
  remove(slot: number): void;
  /** The first one first. What is removed meanwhile is left out, and what is appended meanwhile comes last. */
  slots(): Iterable<number>;
}

/** Makes an empty order for slots from 0 on. */
export function createSlotOrder(): SlotOrder {
  /** By slot: the one before it, and the one after it. */
  const older: number[] = [];
  const newer: number[] = [];
  let oldest = noSlot;
  let newest = noSlot;
  /** What each iteration that is under way comes to next. */
  const cursors: { next: number }[] = [];

  const link = (before: number, after: number): void => {
    if (before === noSlot) oldest = after;
    else newer[before] = after;
    if (after === noSlot) newest = before;
    else older[after] = before;
  };
  /** Iterations that would come to one slot next come to another one. */
  const redirect = (from: number, to: number): void => {
    for (const cursor of cursors) {
      cursor.next = cursor.next === from ? to : cursor.next;
    }
  };

  return {
    append(slot) {
      link(newest, slot);
      link(slot, noSlot);
      redirect(noSlot, slot);
    },
    remove(slot) {
      const after = newer[slot] ?? noSlot;
      link(older[slot] ?? noSlot, after);
      redirect(slot, after);
    },
    *slots() {
      const cursor = { next: oldest };
      cursors.push(cursor);
      try {
        while (cursor.next !== noSlot) {
          const slot = cursor.next;
          cursor.next = newer[slot] ?? noSlot;
          yield slot;
        }
      } finally {
        cursors.splice(cursors.indexOf(cursor), 1);
      }
    },
  };
}

const noSlot = -1;
