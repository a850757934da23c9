import { createHmac } from "node:crypto";
import { inspect } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HmacKey } from "../../src/domain/hmac-key.ts";

// RFC 4231, cases 1, 2, 6 and 7; RFC 2202, section 3, cases 1, 2, 6 and 7. The last two of each have keys longer than a block.
test.each([
  ["sha256", "0b".repeat(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"],
  [
    "sha256",
    "4a656665",
    "what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    "sha256",
    "aa".repeat(131),
    "Test Using Larger Than Block-Size Key - Hash Key First",
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
  [
    "sha256",
    "aa".repeat(131),
    "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
    "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
  ],
  ["sha1", "0b".repeat(20), "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"],
  ["sha1", "4a656665", "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"],
  [
    "sha1",
    "aa".repeat(80),
    "Test Using Larger Than Block-Size Key - Hash Key First",
    "aa4ae5e15272d00e95705637ce8a3b55ed402112",
  ],
  [
    "sha1",
    "aa".repeat(80),
    "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
    "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
  ],
] as const)("%s with the key %s signs as the RFC says", (hashName, keyHex, text, expected) => {
  const key = new HmacKey(Buffer.from(keyHex, "hex"));
  expect(key.sign(hashName, { body: Buffer.from(text) }, "hex")).toBe(expected);
  expect(key.sign(hashName, { head: text, body: new Uint8Array() }, "hex")).toBe(expected);
});

test("any key and any message are signed as Node's own HMAC signs them", () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  const hashNames = fc.constantFrom("sha1", "sha256");
  fc.assert(
    fc.property(hashNames, bytes, fc.string({ unit: "grapheme" }), bytes, (hashName, key, head, body) => {
      const expected = createHmac(hashName, key).update(head).update(body).digest("base64");
      expect(new HmacKey(key).sign(hashName, { head, body }, "base64")).toBe(expected);
    }),
  );
});

test("bodies beyond what fits into the room of most are signed whole, and leave nothing behind for the next", () => {
  const key = new HmacKey(Buffer.from("a key"));
  for (const size of [16_000, 16_320, 16_321, 300_000, 10]) {
    const body = Buffer.alloc(size, "b");
    const expected = createHmac("sha256", "a key").update("head").update(body).digest("hex");
    expect(key.sign("sha256", { head: "head", body }, "hex")).toBe(expected);
  }
});

test("a key shows its bytes neither to a log nor in JSON", () => {
  const key = new HmacKey(Buffer.from("a secret to be kept"));
  expect(inspect(key, { showHidden: true, depth: 9 })).not.toContain("secret");
  expect(JSON.stringify({ key })).toBe('{"key":{}}');
});
