/** Pairs of texts in the order in which they came. The second ones are ASCII, of at most 255 letters. */
export interface PairLog {
  add(first: string, second: string): void;
  /** How many different pairs there are: counts them all anew. */
  distinct(): number;
}

/**
 * An empty log. It writes bytes one behind the other, because a set of hundreds of thousands of texts is moved as a whole whenever it grows, and gone
 * through by each collection: the receiver would stand still for tens of milliseconds, and measure itself.
 */
export function createPairLog(): PairLog {
  const numbers = new Map<string, number>();
  const chunks: Buffer[] = [];
  let chunk = Buffer.alloc(0);
  let length = 0;

  const numberOf = (first: string): number => {
    let number = numbers.get(first);
    if (number === undefined) {
      number = numbers.size;
      // A copy: a part of a request's head would keep all of it in memory.
      numbers.set(Buffer.from(first, "latin1").toString("latin1"), number);
    }
    return number;
  };

  return {
    add(first, second) {
      if (length + 5 + second.length > chunk.length) {
        if (length > 0) chunks.push(chunk.subarray(0, length));
        chunk = Buffer.allocUnsafeSlow(chunkBytes);
        length = 0;
      }
      chunk.writeUInt32LE(numberOf(first), length);
      chunk.writeUInt8(second.length, length + 4);
      length += 5 + chunk.write(second, length + 5, "latin1");
    },
    distinct() {
      const pairs = new Set<string>();
      for (const written of [...chunks, chunk.subarray(0, length)]) {
        for (let at = 0; at < written.length; ) {
          const end = at + 5 + written.readUInt8(at + 4);
          pairs.add(written.toString("latin1", at, end));
          at = end;
        }
      }
      return pairs.size;
    },
  };
}

const chunkBytes = 1 << 20;
