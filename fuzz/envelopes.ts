import { brotliCompressSync, brotliDecompressSync, deflateSync, gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { mutated } from "./arbitrary/bytes.ts";

/** A message as gRPC frames it: flags, length, bytes. */
export function envelope(message: Uint8Array, flags = 0, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags);
  head.writeUInt32BE(length >>> 0, 1);
  return Buffer.concat([head, message]);
}

/** A body of enveloped messages, and the header that says how they are compressed. */
export interface EnvelopedBody {
  encoding: string | undefined;
  bytes: Uint8Array;
}

/** Well framed messages of these bytes, and everything that can be wrong with a frame. */
export function envelopedBody(message: fc.Arbitrary<Uint8Array>): fc.Arbitrary<EnvelopedBody> {
  const plain = message.map((bytes) => ({ encoding: undefined, bytes: envelope(bytes) }));
  const wrongFrame = fc
    .record({
      message,
      flags: fc.constantFrom(0, 1, 2, 3, 127, 128, 129, 255),
      length: fc.oneof(
        fc.constantFrom(0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 4 * 1024 * 1024, 4 * 1024 * 1024 + 1),
        fc.integer({ min: 0, max: 300 }),
      ),
      encoding: fc.constantFrom(undefined, "gzip", "br", "identity", "deflate", "nothing"),
    })
    .map(({ message: bytes, flags, length, encoding }) => ({ encoding, bytes: envelope(bytes, flags, length) }));
  const compressed = fc
    .record({ message, encoding: fc.constantFrom("gzip", "br", "deflate", "identity") })
    .map(({ message: bytes, encoding }) => ({ encoding, bytes: envelope(compress(encoding, bytes), 1) }));
  const damaged = mutated(fc.oneof(plain, compressed).map(({ bytes }) => bytes)).chain((bytes) =>
    fc.constantFrom(undefined, "gzip", "br").map((encoding) => ({ encoding, bytes })),
  );
  const several = fc
    .array(message, { minLength: 0, maxLength: 4 })
    .map((messages) => ({ encoding: undefined, bytes: Buffer.concat(messages.map((bytes) => envelope(bytes))) }));
  const bomb = fc
    .constantFrom("gzip", "br")
    .map((encoding) => ({ encoding, bytes: envelope(bombs[encoding as "gzip" | "br"](), 1) }));
  return fc.oneof(
    { arbitrary: plain, weight: 8 },
    { arbitrary: wrongFrame, weight: 4 },
    { arbitrary: compressed, weight: 3 },
    { arbitrary: damaged, weight: 4 },
    { arbitrary: several, weight: 2 },
    { arbitrary: bomb, weight: 1 },
  );
}

/** The bytes in one of the codings that HTTP and gRPC know; as they are in any other. */
export function compress(encoding: string, bytes: Uint8Array): Uint8Array {
  if (encoding === "gzip") return gzipSync(bytes);
  if (encoding === "br") return brotliCompressSync(bytes);
  return encoding === "deflate" ? deflateSync(bytes) : bytes;
}

/** Undoes what compress has done, by gzip or br. */
export function decompress(encoding: string, bytes: Uint8Array): Buffer {
  return encoding === "br" ? brotliDecompressSync(bytes) : gunzipSync(bytes);
}

/** Small bytes that become 64 MiB of zeros. Made once. */
export const bombs = { gzip: once(() => gzipSync(zeros())), br: once(() => brotliCompressSync(zeros())) };

function zeros(): Buffer {
  return Buffer.alloc(64 * 1024 * 1024);
}

function once<Value>(make: () => Value): () => Value {
  let made: Value | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
