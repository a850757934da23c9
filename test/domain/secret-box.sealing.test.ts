import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { createSecretBox, parseSecretsKey, readSealedHeader } from "../../src/domain/secret-box.ts";

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

test("sealed anew, a secret is opened by the new key alone, and what was encrypted is the same as before", () => {
  const newKey = randomBytes(32);
  const old = createSecretBox({ keys: [key] }).seal(secret, "wh_1");
  const rotated = createSecretBox({ keys: [newKey, key] });
  const resealed = rotated.reseal(old, "wh_1");
  expect(createSecretBox({ keys: [newKey] }).open(resealed, "wh_1")).toBe(secret);
  expect(() => createSecretBox({ keys: [key] }).open(resealed, "wh_1")).toThrow("was sealed with another key");
  expect(resealed.subarray(-50)).toEqual(old.subarray(-50));
  expect(resealed.subarray(0, 69)).not.toEqual(old.subarray(0, 69));
  expect(() => rotated.reseal(old, "wh_2")).toThrow(expect.objectContaining({ reason: "SECRETS_KEY_MISMATCH" }));
  expect(() => createSecretBox({ keys: [newKey] }).reseal(old, "wh_1")).toThrow("was sealed with another key");
});

test("a value says which key sealed it, and every value of one key begins alike", () => {
  const newKey = randomBytes(32);
  const box = createSecretBox({ keys: [newKey, key] });
  expect(box.seal(secret, "wh_1").subarray(0, 9)).toEqual(box.header);
  expect(readSealedHeader(box.seal(secret, "wh_1"))).toEqual({ keyId: box.keyIds[0], isPresentForm: true });
  const old = createSecretBox({ keys: [key] }).seal(secret, "wh_1");
  expect(readSealedHeader(old).keyId).toBe(box.keyIds[1]);
  expect(box.keyIds.join()).toMatch(/^[0-9a-f]{16},[0-9a-f]{16}$/);
});

test("a value of the first form, encrypted with the key itself, is opened, and gets a data key when it is sealed anew", () => {
  const header = Buffer.concat([Buffer.of(1), createHash("sha256").update(key).digest().subarray(0, 8)]);
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.concat([header, Buffer.from("wh_1")]));
  const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
  const direct = Buffer.concat([header, nonce, cipher.getAuthTag(), ciphertext]);
  const box = createSecretBox({ keys: [key] });
  expect(box.open(direct, "wh_1")).toBe(secret);
  expect(() => box.open(direct, "wh_2")).toThrow(expect.objectContaining({ reason: "SECRETS_KEY_MISMATCH" }));
  expect(readSealedHeader(direct)).toEqual({ keyId: box.keyIds[0], isPresentForm: false });
  const resealed = box.reseal(direct, "wh_1");
  expect(readSealedHeader(resealed)).toEqual({ keyId: box.keyIds[0], isPresentForm: true });
  expect(box.open(resealed, "wh_1")).toBe(secret);
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

test("a list with the same key twice is refused: whoever wrote it thinks that the key was changed", () => {
  expect(() => createSecretBox({ keys: [key, randomBytes(32), Buffer.from(key)] })).toThrow(
    expect.objectContaining({ reason: "CONFIG_INVALID", message: expect.stringContaining("TELLWIRE_SECRETS_KEY") }),
  );
});

test("a box without a key is refused", () => {
  expect(() => createSecretBox({ keys: [] })).toThrow(expect.objectContaining({ reason: "CONFIG_INVALID" }));
});
