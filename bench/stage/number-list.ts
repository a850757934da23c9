/** Numbers in the order in which they came, eight bytes each. */
export interface NumberList {
  add(value: number): void;
  /** A view of all of them, valid until the next `add`. */
  values(): Float64Array;
}

/** An empty list. It grows by doubling. */
export function createNumberList(): NumberList {
  let kept = new Float64Array(1 << 12);
  let length = 0;
  return {
    add(value) {
      if (length === kept.length) {
        const larger = new Float64Array(2 * length);
        larger.set(kept);
        kept = larger;
      }
      kept[length++] = value;
    },
    values: () => kept.subarray(0, length),
  };
}
