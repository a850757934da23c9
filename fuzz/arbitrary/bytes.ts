import fc from "fast-check";

/** One change of a text of bytes. Places are parts of its length, so that one change fits every text. */
interface Change {
  kind: "flip" | "insert" | "delete" | "repeat" | "cut" | "replace";
  /** From 0 to 1. */
  at: number;
  length: number;
  bytes: Uint8Array;
}

const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom("flip", "insert", "delete", "repeat", "cut", "replace"),
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 1, max: 64 }),
  bytes: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 16 }),
    fc
      .constantFrom("\r\n", "\n", "\0", ":", " ", "\t", "0", "-1", "ffffffff", "\xff\xff\xff\xff", "\x80")
      .map((text) => Uint8Array.from(Buffer.from(text, "latin1"))),
  ),
});

/** The bytes with up to `most` changes: flipped, put in, taken out, said twice, cut off. */
export function mutated(source: fc.Arbitrary<Uint8Array>, most = 4): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(source, fc.array(change, { minLength: 1, maxLength: most }))
    .map(([bytes, changes]) => changes.reduce(apply, bytes));
}

function apply(bytes: Uint8Array, { kind, at, length, bytes: put }: Change): Uint8Array {
  const from = Math.min(bytes.length, Math.floor(at * bytes.length));
  const before = bytes.subarray(0, from);
  const after = bytes.subarray(from);
  switch (kind) {
    case "flip":
      return Buffer.concat([
        before,
        Uint8Array.from(after.subarray(0, 1), (byte) => byte ^ (1 << (length % 8))),
        after.subarray(1),
      ]);
    case "insert":
      return Buffer.concat([before, put, after]);
    case "delete":
      return Buffer.concat([before, after.subarray(length)]);
    case "repeat":
      return Buffer.concat([before, after.subarray(0, length), after]);
    case "replace":
      return Buffer.concat([before, put, after.subarray(put.length)]);
    case "cut":
      return before;
  }
}
