/** The first bytes of a response's body. */
export interface ResponseBody {
  /** Takes a chunk; "full" when the body is longer than the limit, and no more is wanted. */
  append(chunk: Buffer): "open" | "full";
  bytes(): Buffer;
}

/**
 * Collects at most `maxBytes`. Chunks are copied into one buffer: a chunk is a view of a socket's read buffer, and a thousand small ones
 * kept as they come would hold a thousand of those.
 */
export function createResponseBody(maxBytes: number): ResponseBody {
  let buffer = EMPTY;
  let length = 0;
  return {
    append(chunk) {
      const taken = Math.min(chunk.length, maxBytes - length);
      if (length + taken > buffer.length) {
        const grown = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(length + taken, buffer.length * 2)));
        buffer.copy(grown, 0, 0, length);
        buffer = grown;
      }
      chunk.copy(buffer, length, 0, taken);
      length += taken;
      return taken < chunk.length ? "full" : "open";
    },
    bytes: () => buffer.subarray(0, length),
  };
}

const EMPTY = Buffer.alloc(0);
