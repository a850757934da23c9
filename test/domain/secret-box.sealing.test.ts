import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { createSecretBox, parseSecretsKey } from "../../src/domain/secret-box.ts";

const key = randomBytes(32);
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

test("a sealed secret is opened with its key and context", () => {
  const box = createSecretBox({ keys: [key] });
  expect(box.open(box.seal(secret, "wh_1"), "wh_1")).toBe(secret);
  expect(box.open(box.seal("", "wh_1"), "wh_1")).toBe("");
});

test("a sealed secret shows nothing of the secret, and no two are equal", () => {
  const box = createSecretBox({ keys: [key] });
  const [one, other] = [box.seal(secret, "wh_1"), box.seal(secret, "wh_1")];
  expect(one.includes("whsec_")).toBe(false);
  expect(one.equals(other)).toBe(false);
});

test("after a rotation the old key still opens, and the new one seals", () => {
  const newKey = randomBytes(32);
  const old = createSecretBox({ keys: [key] }).seal(secret, "wh_1");
  const rotated = createSecretBox({ keys: [newKey, key] });
  expect(rotated.open(old, "wh_1")).toBe(secret);
  expect(createSecretBox({ keys: [newKey] }).open(rotated.seal(secret, "wh_1"), "wh_1")).toBe(secret);
});

test("a secret that was sealed with another key is a SECRETS_KEY_MISMATCH which names the variable", () => {
  const sealed = createSecretBox({ keys: [randomBytes(32)] }).seal(secret, "wh_1");
  expect(() => createSecretBox({ keys: [key] }).open(sealed, "wh_1")).toThrow(
    expect.objectContaining({
      reason: "SECRETS_KEY_MISMATCH",
      message: expect.stringContaining("TELLWIRE_SECRETS_KEY"),
    }),
  );
});

test("a secret cannot be moved to another webhook", () => {
  const box = createSecretBox({ keys: [key] });
  expect(() => box.open(box.seal(secret, "wh_1"), "wh_2")).toThrow(
    expect.objectContaining({ reason: "SECRETS_KEY_MISMATCH" }),
  );
});

test("a change of any single byte is noticed", () => {
  const box = createSecretBox({ keys: [key] });
  const sealed = box.seal(secret, "wh_1");
  for (let i = 0; i < sealed.length; i += 1) {
    const changed = Buffer.from(sealed);
    changed[i]! ^= 1;
    expect(() => box.open(changed, "wh_1")).toThrow(expect.objectContaining({ reason: "SECRETS_KEY_MISMATCH" }));
  }
});

test("a value cut anywhere is noticed", () => {
  const box = createSecretBox({ keys: [key] });
  const sealed = box.seal(secret, "wh_1");
  for (let length = 0; length < sealed.length; length += 1) {
    expect(() => box.open(sealed.subarray(0, length), "wh_1")).toThrow(
      expect.objectContaining({ reason: "SECRETS_KEY_MISMATCH" }),
    );
  }
});

test("a key is 32 bytes in base64, with or without padding, in either alphabet", () => {
  const bytes = Buffer.alloc(32, 0xfb);
  for (const text of [bytes.toString("base64"), bytes.toString("base64url"), `${bytes.toString("base64")}\n`]) {
    expect(parseSecretsKey(text, "TELLWIRE_SECRETS_KEY")).toEqual(bytes);
  }
});

test.each([
  [""],
  ["secret"],
  [randomBytes(31).toString("base64")],
  [randomBytes(33).toString("base64")],
  [key.toString("hex")],
])("the key %j is a CONFIG_INVALID which says how to make one, and does not repeat it", (text) => {
  expect(() => parseSecretsKey(text, "TELLWIRE_SECRETS_KEY")).toThrow(
    expect.objectContaining({
      reason: "CONFIG_INVALID",
      message: 'TELLWIRE_SECRETS_KEY must be 32 random bytes in base64, such as "openssl rand -base64 32" prints',
    }),
  );
});

test("a box without a key is refused", () => {
  expect(() => createSecretBox({ keys: [] })).toThrow(expect.objectContaining({ reason: "CONFIG_INVALID" }));
});
