import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, verify } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { HmacKey } from "../../src/domain/hmac-key.ts";
import { signatureHeaders } from "../../src/domain/signature.ts";
import {
  generatePrivateKey,
  generateSecret,
  type ParsedKey,
  parsePrivateKey,
  parseSecret,
  parseSigningKey,
  publicJwk,
  publicKeyOf,
  publicKeyText,
  type SigningKey,
} from "../../src/domain/signing-key.ts";
import vectors from "../vectors/standard-webhooks.json" with { type: "json" };

const message = { id: vectors.id, timestampSeconds: vectors.timestamp, body: Buffer.from(vectors.body) };

// The reference library compares the timestamp with the clock.
beforeEach(() => void vi.useFakeTimers({ now: vectors.timestamp * 1000, toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

test("the v1 vector's message is signed with the vector's signature", () => {
  const headers = signatureHeaders({ ...message, keys: [keyOf(parseSecret(vectors.v1.secret))] });
  expect(headers).toEqual({
    "webhook-id": vectors.id,
    "webhook-timestamp": String(vectors.timestamp),
    "webhook-signature": vectors.v1.signature,
  });
});

test("the v1 vector's signature is accepted by the reference library, and refused after one byte changed", () => {
  const headers = signatureHeaders({ ...message, keys: [keyOf(parseSecret(vectors.v1.secret))] });
  const webhook = new Webhook(vectors.v1.secret);
  expect(webhook.verify(vectors.body, { ...headers })).toEqual({ test: 2432232314 });
  expect(() => webhook.verify(vectors.body.replace("4}", "5}"), { ...headers })).toThrow();
});

test("the v1a vector's message is signed with the vector's signature", () => {
  const headers = signatureHeaders({ ...message, keys: [keyOf(parsePrivateKey(vectors.v1a.private))] });
  expect(headers["webhook-signature"]).toBe(vectors.v1a.signature);
});

test("the v1a vector's signature verifies with the vector's public key", () => {
  const x = Buffer.from(vectors.v1a.public.replace("whpk_", ""), "base64").toString("base64url");
  const publicKey = createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x } });
  const signed = Buffer.from(`${vectors.id}.${vectors.timestamp}.${vectors.body}`);
  const { "webhook-signature": signature } = signatureHeaders({
    ...message,
    keys: [keyOf(parsePrivateKey(vectors.v1a.private))],
  });
  const [version, base64 = ""] = signature.split(",");
  expect(version).toBe("v1a");
  expect(verify(null, signed, publicKey, Buffer.from(base64, "base64"))).toBe(true);
  expect(verify(null, Buffer.concat([signed, Buffer.of(0)]), publicKey, Buffer.from(base64, "base64"))).toBe(false);
});

test("during a rotation the newest key's signature comes first, and both secrets verify the request", () => {
  const secrets = [generateSecret(randomBytes), generateSecret(randomBytes)];
  const headers = signatureHeaders({ ...message, keys: secrets.map((secret) => keyOf(parseSecret(secret))) });
  expect(headers["webhook-signature"]).toMatch(/^v1,\S{44} v1,\S{44}$/);
  const newest = signatureHeaders({ ...message, keys: [keyOf(parseSecret(secrets[0]!))] });
  expect(headers["webhook-signature"].split(" ")[0]).toBe(newest["webhook-signature"]);
  for (const secret of secrets) new Webhook(secret).verify(vectors.body, { ...headers });
  expect(() => new Webhook(generateSecret(randomBytes)).verify(vectors.body, { ...headers })).toThrow();
});

test.each(vectors["secrets refused"])("the secret %j is refused with a reason that does not repeat it", (text) => {
  const parsed = parseSecret(text);
  expect(parsed.kind).toBe("refused");
  if (parsed.kind === "refused") {
    expect(parsed.reason).toMatch(/^must /);
    if (text.length > 10) expect(parsed.reason).not.toContain(text.slice(6));
  }
});

test.each([
  [23, "refused"],
  [24, "key"],
  [64, "key"],
  [65, "refused"],
])("a secret of %i bytes: %s", (size, kind) => {
  expect(parseSecret(`whsec_${randomBytes(size).toString("base64")}`).kind).toBe(kind);
});

test("base64 that a receiver's library may read differently is refused", () => {
  const base64 = Buffer.alloc(25, 0xff).toString("base64");
  for (const text of [base64.replace(/=+$/, ""), base64.replaceAll("/", "_"), ` ${base64}`, `${base64}\n`]) {
    expect(parseSecret(`whsec_${text}`).kind).toBe("refused");
  }
});

test("a generated secret has 32 bytes, and is read back", () => {
  const secret = generateSecret((size) => Buffer.alloc(size, 7));
  const signature = (key: SigningKey) => signatureHeaders({ ...message, keys: [key] })["webhook-signature"];
  expect(signature(keyOf(parseSecret(secret)))).toBe(signature(new HmacKey(Buffer.alloc(32, 7))));
});

test("a private key whose halves do not belong together is refused", () => {
  const [one, other] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
  const seed = Buffer.from(one.privateKey.export({ format: "jwk" }).d!, "base64url");
  const halves = (publicKey: KeyObject) =>
    Buffer.concat([seed, Buffer.from(publicKey.export({ format: "jwk" }).x!, "base64url")]).toString("base64");
  expect(parsePrivateKey(`whsk_${halves(one.publicKey)}`).kind).toBe("key");
  expect(parsePrivateKey(`whsk_${halves(other.publicKey)}`).kind).toBe("refused");
  expect(parsePrivateKey("whsk_c2hvcnQ=").kind).toBe("refused");
  expect(parsePrivateKey(vectors.v1.secret).kind).toBe("refused");
});

test("the public key of the v1a vector's private key is the vector's", () => {
  expect(publicKeyText(publicKeyOf(privateKeyOf(parsePrivateKey(vectors.v1a.private))))).toBe(vectors.v1a.public);
});

test("a generated key pair has a seed of 32 random bytes, and is read back", () => {
  const text = generatePrivateKey((size) => Buffer.alloc(size, 7));
  const bytes = Buffer.from(text.replace("whsk_", ""), "base64");
  expect(bytes).toHaveLength(64);
  expect(bytes.subarray(0, 32)).toEqual(Buffer.alloc(32, 7));
  expect(publicKeyOf(privateKeyOf(parseSigningKey(text)))).toEqual(bytes.subarray(32));
});

test("secrets and private keys are told apart by their prefixes, and anything else is refused naming both", () => {
  expect(keyOf(parseSigningKey(vectors.v1.secret)).algorithm).toBe("HMAC");
  expect(keyOf(parseSigningKey(vectors.v1a.private)).algorithm).toBe("ED25519");
  expect(parseSigningKey(vectors.v1a.public)).toEqual({
    kind: "refused",
    reason: "must begin with whsec_, or with whsk_ where it is an ed25519 private key",
  });
});

test("a public key as a JWK is that of RFC 8037, with its thumbprint as its id", () => {
  // RFC 8037, appendices A.2 and A.3.
  const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
  expect(publicJwk(Buffer.from(x, "base64url"))).toEqual({
    kty: "OKP",
    crv: "Ed25519",
    x,
    kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    use: "sig",
    alg: "EdDSA",
  });
});

function keyOf(parsed: ParsedKey): SigningKey {
  if (parsed.kind === "refused") throw new Error(parsed.reason);
  return parsed.key;
}

function privateKeyOf(parsed: ParsedKey): KeyObject {
  const key = keyOf(parsed);
  if (key.algorithm === "HMAC") throw new Error("a secret, where a private key is looked for");
  return key.privateKey;
}
