import { randomFillSync } from "node:crypto";

/**
 * Random bytes, cryptographically strong, out of a stock that is filled a page at a time: asking the system for sixteen bytes costs as much as
 * asking for thousands. No byte is given out twice.
 */
export function createRandomBytes(): (size: number) => Uint8Array {
  let stock = new Uint8Array(0);
  return (size) => {
    if (size > stock.length) {
      stock = randomFillSync(new Uint8Array(Math.max(size, stockBytes)));
    }
    const bytes = stock.slice(0, size);
    // Nobody finds in memory what was given out.
    stock.fill(0, 0, size);
    stock = stock.subarray(size);
    return bytes;
  };
}

const stockBytes = 8_192;
