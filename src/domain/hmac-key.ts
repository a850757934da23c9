import { hash } from "node:crypto";

/** What is signed: a text in UTF-8 where there is one, and the bytes behind it. */
export interface HmacMessage {
  head?: string;
  body: Uint8Array;
}

/**
 * A key of HMAC (RFC 2104, section 2), of any length. Not a `KeyObject`, of which each takes some 400 bytes, most of them outside of the JavaScript
 * heap: a process keeps a key for each of very many webhooks. Like one, it shows its bytes to no log.
 */
export class HmacKey {
  /** Each a letter (latin1): the form of bytes that takes the least memory. */
  readonly #bytes: string;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes).toString("latin1");
  }

  get algorithm(): "HMAC" {
    return "HMAC";
  }

  /** By two hashes instead of `createHmac`, because they cost less than to make a `Hmac`, and take the key as it is kept. */
  sign(hashName: "sha1" | "sha256", { head = "", body }: HmacMessage, encoding: "base64" | "hex"): string {
    const key = this.#bytes.length > blockBytes ? hashed(hashName, this.#bytes) : this.#bytes;
    const headBytes = Buffer.byteLength(head);
    const inner = roomFor(blockBytes + headBytes + body.length);
    for (let at = 0; at < blockBytes; at++) {
      const byte = at < key.length ? key.charCodeAt(at) : 0;
      inner[at] = byte ^ innerPad;
      outer[at] = byte ^ outerPad;
    }
    inner.write(head, blockBytes);
    inner.set(body, blockBytes + headBytes);
    const written = outer.write(hash(hashName, inner, "hex"), blockBytes, "hex");
    return hash(hashName, outer.subarray(0, blockBytes + written), encoding);
  }
}

/** Of both hashes. */
const blockBytes = 64;
const longestHashBytes = 32;
const innerPad = 0x36;
const outerPad = 0x5c;

/** Used again for each signature: nothing runs in between. */
const outer = Buffer.alloc(blockBytes + longestHashBytes);
const room = Buffer.alloc(16 * 1024);

function roomFor(bytes: number): Buffer {
  return bytes <= room.length ? room.subarray(0, bytes) : Buffer.allocUnsafe(bytes);
}

/** What a key signs as that is longer than a block. */
function hashed(hashName: string, bytes: string): string {
  return hash(hashName, Buffer.from(bytes, "latin1"), "buffer").toString("latin1");
}
