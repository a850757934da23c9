import { createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { createPortalTokenCodec, type PortalToken } from "../../src/domain/portal-token.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { compact, tampered } from "../support/token-issuer.ts";

const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const hour = 3_600_000;
const token: PortalToken = {
  id: "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
  organizationId: "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c",
  projectId: "shop-7",
  scopes: ["webhooks:read", "deliveries:retry"],
  maker: { kind: "API_KEY", id: "key_01k8djrfaefx88mtvwhpf0y6hb" },
  issuedAtMs: now,
  expiresAtMs: now + hour,
};
const secretsKey = randomBytes(32);
const codec = codecOf(secretsKey);

it("what was written is read again", async () => {
  const text = await codec.write(token);
  expect(text).toMatch(/^twp_[\w-]+\.[\w-]+\.[\w-]+$/);
  expect(await codec.read(text, now)).toEqual(token);
  const whole: PortalToken = { ...token, projectId: undefined, maker: { kind: "CLIENT_CERTIFICATE", id: "a b" } };
  expect(await codec.read(await codec.write(whole), now)).toEqual(whole);
});

it("the token says what it is for, and nothing of whoever made it", async () => {
  const maker = { kind: "OPERATOR_KEY", id: "0f1e2d3c4b5a" } as const;
  const jwt = (await codec.write({ ...token, maker })).slice(4);
  expect(decodeProtectedHeader(jwt)).toEqual({
    alg: "HS256",
    typ: "tellwire-portal+jwt",
    kid: expect.stringMatching(/^[\w-]{11}$/),
  });
  expect(decodeJwt(jwt)).toEqual({
    iss: "tellwire",
    aud: "tellwire-api",
    sub: expect.stringMatching(/^org_/),
    jti: expect.stringMatching(/^ptk_/),
    iat: now / 1000,
    exp: (now + hour) / 1000,
    scope: "webhooks:read deliveries:retry",
    project: "shop-7",
    maker: expect.any(String),
  });
  const readable = jwt
    .split(".")
    .map((part) => Buffer.from(part, "base64url").toString("latin1"))
    .join("");
  expect(readable).not.toContain("OPERATOR");
  expect(readable).not.toContain(maker.id);
});

it("the longest token there can be is read", async () => {
  const long: PortalToken = {
    ...token,
    projectId: "p".repeat(128),
    scopes: Array.from({ length: 10 }, () => "deliveries:retry"),
    maker: { kind: "CLIENT_CERTIFICATE", id: `spiffe://${"n".repeat(244)}` },
  };
  const text = await codec.write(long);
  expect(text.length).toBeLessThan(2_048);
  expect(await codec.read(text, now)).toEqual(long);
});

it("a token ends at its second", async () => {
  const text = await codec.write(token);
  expect(await codec.read(text, now + hour - 1)).toBeDefined();
  await expect(codec.read(text, now + hour)).rejects.toMatchObject({
    reason: "KEY_INVALID",
    message: "the token expired at 2026-01-02T04:04:05.000Z: get another one",
  });
});

it("tokens outlive the rotation of the secrets key as long as the old key stands behind the new one", async () => {
  const next = randomBytes(32);
  const text = await codec.write(token);
  expect(await codecOf(next, secretsKey).read(text, now)).toEqual(token);
  await expect(codecOf(next).read(text, now)).rejects.toMatchObject({
    reason: "KEY_INVALID",
    message: expect.stringContaining("not signed by this server"),
  });
  const newer = await codecOf(next, secretsKey).write(token);
  await expect(codec.read(newer, now)).rejects.toMatchObject({ reason: "KEY_INVALID" });
});

describe("what is no token of this server is refused, and not repeated", async () => {
  const good = await codec.write(token);
  const jwt = good.slice(4);
  const [header = "", payload = "", signature = ""] = jwt.split(".");
  const claims = decodeJwt(jwt);
  const { kid = "" } = decodeProtectedHeader(jwt);
  const signingKey = createSecretKey(
    Buffer.from(hkdfSync("sha256", secretsKey, "", "tellwire portal token HS256", 32)),
  );
  const protectedHeader = { alg: "HS256", typ: "tellwire-portal+jwt", kid };
  const sign = (changes: object, headerChanges: object = {}, key: Parameters<SignJWT["sign"]>[0] = signingKey) =>
    new SignJWT({ ...claims, ...changes })
      .setProtectedHeader({ ...protectedHeader, ...headerChanges } as typeof protectedHeader)
      .sign(key, { crit: { "x-unknown": true } });
  const { privateKey } = await generateKeyPair("ES256");

  it("signing as this test does makes a good token, so that the rest is refused for its own reason", async () => {
    expect(await codec.read(`twp_${await sign({})}`, now)).toEqual(token);
  });

  it.each<[string, string]>([
    ["nothing after the prefix", ""],
    ["one part", "abc"],
    ["two parts", `${header}.${payload}`],
    ["four parts", `${jwt}.${signature}`],
    ["no signature", `${header}.${payload}.`],
    ["another signature", `${header}.${payload}.${Buffer.alloc(32, 7).toString("base64url")}`],
    ["alg none", `${compact({ ...protectedHeader, alg: "none" })}.${payload}.`],
    ["alg none with the signature", `${compact({ ...protectedHeader, alg: "none" })}.${payload}.${signature}`],
    ["alg in other letters", `${compact({ ...protectedHeader, alg: "hs256" })}.${payload}.${signature}`],
    ["no alg", `${compact({ typ: "tellwire-portal+jwt", kid })}.${payload}.${signature}`],
    ["more scopes than it was signed with", tampered(jwt, { scope: "keys:write" })],
    ["another organization", tampered(jwt, { sub: "org_01k8djrfaefx88mtvwhpf0y6hc" })],
    ["a later end", tampered(jwt, { exp: now / 1000 + 9e9 })],
    ["a longer alg", await sign({}, { alg: "HS512" }, randomBytes(64))],
    ["an asymmetric alg", await sign({}, { alg: "ES256" }, privateKey)],
    ["another key", await sign({}, {}, randomBytes(32))],
    ["no kid", await sign({}, { kid: undefined })],
    ["an unknown kid", await sign({}, { kid: "AAAAAAAAAAA" })],
    ["the secrets key itself as the signing key", await sign({}, {}, secretsKey)],
    ["another typ", await sign({}, { typ: "JWT" })],
    ["no typ", await sign({}, { typ: undefined })],
    ["an unknown critical header", await sign({}, { crit: ["x-unknown"], "x-unknown": 1 })],
    ["another issuer", await sign({ iss: "https://login.example.com" })],
    ["another audience", await sign({ aud: "somebody-else" })],
    ["no audience", await sign({ aud: undefined })],
    ["no end", await sign({ exp: undefined })],
    ["an end that is no number", await sign({ exp: "9999999999" })],
    ["not valid yet", await sign({ nbf: now / 1000 + 60 })],
    ["no organization", await sign({ sub: undefined })],
    ["an organization that is no id", await sign({ sub: "acme" })],
    ["no id", await sign({ jti: undefined })],
    ["no scope", await sign({ scope: undefined })],
    ["no maker", await sign({ maker: undefined })],
    ["a nested JWT", `${header}.${Buffer.from(jwt).toString("base64url")}.${signature}`],
    ["a list for claims", `${header}.${compact([])}.${signature}`],
    ["a huge text", `${header}.${"A".repeat(100_000)}.${signature}`],
    ["line ends", `${jwt}\r\nx`],
  ])("%s", async (_what, text) => {
    const error = await codec.read(`twp_${text}`, now).then(
      () => expect.unreachable("the token was taken"),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ reason: "KEY_INVALID", message: expect.stringMatching(/^the token /) });
    for (const part of text.split(".").filter(({ length }) => length > 3)) expect(error.message).not.toContain(part);
  });

  it("the maker of another token", async () => {
    const other = decodeJwt((await codec.write({ ...token, id: "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2d" })).slice(4));
    await expect(codec.read(`twp_${await sign({ maker: other.maker })}`, now)).rejects.toThrow();
  });
});

it("whatever anybody writes into a token that this server did not sign, it is refused and nothing breaks", async () => {
  const { kid = "" } = decodeProtectedHeader((await codec.write(token)).slice(4));
  const header = fc.record({
    alg: fc.oneof(fc.constantFrom("HS256", "none", "__proto__"), fc.jsonValue()),
    kid: fc.oneof(fc.constant(kid), fc.jsonValue()),
    typ: fc.oneof(fc.constant("tellwire-portal+jwt"), fc.jsonValue()),
    crit: fc.oneof(fc.constant(undefined), fc.jsonValue()),
  });
  const part = fc.oneof(
    fc.jsonValue().map((value) => compact(JSON.stringify(value))),
    fc.string({ unit: "binary" }),
  );
  const text = fc
    .tuple(
      fc.oneof(
        header.map((value) => compact(value)),
        part,
      ),
      part,
      part,
    )
    .map((parts) => parts.join("."));
  await fc.assert(
    fc.asyncProperty(text, async (jwt) => {
      await expect(codec.read(`twp_${jwt}`, now)).rejects.toMatchObject({ reason: "KEY_INVALID" });
    }),
    { numRuns: 500 },
  );
});

function codecOf(...secretsKeys: Uint8Array[]) {
  return createPortalTokenCodec({ secretsKeys, secretBox: createSecretBox({ keys: secretsKeys }) });
}
