/** Answers with the value that was made first for the key, so that equal values are one object. They must not be changed. */
export type ShareEqual = <Value>(key: string, make: () => Value) => Value;

/** Remembers up to `max` values, and begins anew beyond: sharing saves memory, and must not cost any without bound. */
export function createShareEqual(max: number): ShareEqual {
  const values = new Map<string, unknown>();
  return <Value>(key: string, make: () => Value): Value => {
    const known = values.get(key);
    if (known !== undefined) {
      // Keys of different kinds of values differ in their first word.
      return known as Value;
    }
    if (values.size >= max) {
      values.clear();
    }
    const value = make();
    values.set(key, value);
    return value;
  };
}
