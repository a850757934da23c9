import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { CompactSign, type CryptoKey as CryptoKeyOfJose, exportSPKI, FlattenedSign, importJWK } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ExternalIssuer } from "../../src/domain/external-issuer.ts";
import { publicId } from "../../src/domain/ids.ts";
import { createPortalTokenCodec } from "../../src/domain/portal-token.ts";
import { allScopes } from "../../src/domain/scope.ts";
import { createSecretBox } from "../../src/domain/secret-box.ts";
import { createJsonWebKeysReader, type JsonWebKeysReader } from "../../src/outbound/json-web-keys.ts";
import { organizationNotFound } from "../../src/usecases/access.ts";
import type { Authenticator } from "../../src/usecases/authenticate.ts";
import { createExternalTokens } from "../../src/usecases/external-tokens.ts";
import { createFindIssuerKey } from "../../src/usecases/issuer-keys.ts";
import { origin as nowhere } from "../support/principals.ts";
import { audience, compact, startTokenIssuer, type TokenIssuer, tampered } from "../support/token-issuer.ts";

const organizationId = "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c";
const origin = { ...nowhere, address: "192.0.2.7", requestId: "req_1" };
const now = () => 1_767_323_045_000;
const seconds = now() / 1000;

let issuer: TokenIssuer;
let reader: JsonWebKeysReader;
let identify: (jwt: string | undefined) => ReturnType<Authenticator>;
beforeAll(async () => {
  issuer = await startTokenIssuer(now);
  reader = createJsonWebKeysReader({ url: issuer.jwksUrl, timeoutMs: 60_000 });
  identify = tokensWith({});
});
afterAll(async () => {
  await issuer.close();
  await reader.close();
});

describe("a good token", () => {
  it("stands for its organization, with those of its scopes that are ours", async () => {
    const scope = "openid webhooks:read events:publish email";
    const principal = await identify(await issuer.token({ organization_id: organizationId, scope }));
    expect(principal).toEqual({
      kind: "organization",
      organizationId,
      projectId: undefined,
      actor: { kind: "EXTERNAL_TOKEN", id: "user-7" },
      origin,
      scopes: new Set(["webhooks:read", "events:publish"]),
    });
  });

  it.each([
    ["the organization as org_…", { organization_id: publicId("organization", organizationId) }, []],
    ["scopes as a list", { scope: ["deliveries:read", 7, "webhooks:write"] }, ["deliveries:read", "webhooks:write"]],
    ["no scope", {}, []],
    ["a scope of another form", { scope: { "webhooks:read": true } }, []],
    ["several audiences", { aud: ["somebody-else", audience] }, []],
    ["clocks that are a little apart", { iat: seconds + 20, nbf: seconds + 20, exp: seconds - 20 }, []],
  ])("with %s is taken", async (_what, claims, scopes) => {
    const principal = await identify(await issuer.token({ organization_id: organizationId, ...claims }));
    expect(principal).toMatchObject({ kind: "organization", organizationId });
    expect([...principal!.scopes].sort()).toEqual([...scopes].sort());
  });

  it.each(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"])(
    "may be signed with %s",
    async (alg) => {
      const identifyAnew = tokensWith({});
      const key = await issuer.addKey({ alg, kid: `${alg}-key` });
      const token = await issuer.token({ organization_id: organizationId }, { key });
      expect(await identifyAnew(token)).toMatchObject({ organizationId });
    },
  );

  it.each([[{ typ: "at+jwt" }], [{ typ: "JWT" }], [{ typ: "application/at+JWT" }], [{ cty: "x" }]])(
    "may have the header %j",
    async (header) => {
      expect(await identify(await issuer.token({ organization_id: organizationId }, { header }))).toBeDefined();
    },
  );

  it("names its organization and its scopes where the operator says", async () => {
    const elsewhere = tokensWith({ organizationClaim: "https://example.com/org", scopeClaim: "tellwire.scopes" });
    const claims = { "https://example.com/org": organizationId, tellwire: { scopes: ["webhooks:read"] } };
    expect(await elsewhere(await issuer.token(claims))).toMatchObject({
      organizationId,
      scopes: new Set(["webhooks:read"]),
    });
    await expect(elsewhere(await issuer.token({ organization_id: organizationId }))).rejects.toMatchObject({
      reason: "KEY_INVALID",
      message: expect.stringContaining("https://example.com/org"),
    });
  });
});

describe("operators", () => {
  it("no token makes one, unless the operator has said which claim does", async () => {
    const claims = {
      organization_id: organizationId,
      roles: ["tellwire-operator"],
      role: "operator",
      scope: "operator",
    };
    expect(await identify(await issuer.token(claims))).toMatchObject({ kind: "organization", scopes: new Set() });
  });

  it("the claim and value that the operator has named make one, and nothing like them", async () => {
    const withRole = tokensWith({ operatorClaim: { claim: "realm_access.roles", value: "tellwire-operator" } });
    const operator = await withRole(await issuer.token({ realm_access: { roles: ["a", "tellwire-operator"] } }));
    expect(operator).toEqual({
      kind: "operator",
      actor: { kind: "EXTERNAL_TOKEN", id: "user-7" },
      origin,
      scopes: allScopes,
    });
    for (const roles of [
      ["tellwire-operator2"],
      [["tellwire-operator"]],
      "tellwire-operators",
      { 0: "tellwire-operator" },
    ]) {
      const principal = await withRole(
        await issuer.token({ organization_id: organizationId, realm_access: { roles } }),
      );
      expect(principal).toMatchObject({ kind: "organization" });
    }
  });
});

describe("what is not a token of the issuer is refused", () => {
  const good = { organization_id: organizationId };
  const spkiOf = async () => await exportSPKI((await importJWK(issuer.firstKey.publicJwk, "ES256")) as CryptoKeyOfJose);

  it.each<[string, string, () => Promise<string> | string]>([
    ["alg none", "signed otherwise", async () => unsigned("none")],
    ["alg None", "signed otherwise", async () => unsigned("None")],
    ["HS256 with the public key as the secret", "signed otherwise", async () => hmac(await spkiOf())],
    [
      "HS256 with the public JWK as the secret",
      "signed otherwise",
      async () => hmac(JSON.stringify(issuer.firstKey.publicJwk)),
    ],
    [
      "a key that nobody publishes",
      "does not publish",
      async () => token(good, { key: await issuer.addKey({ published: false }) }),
    ],
    ["another key under a known kid", "signature", async () => token(good, { key: await impostor() })],
    ["another issuer", "(iss)", () => token({ ...good, iss: "https://evil.example.com" })],
    ["no issuer", "(iss)", () => token({ ...good, iss: undefined })],
    ["a list of issuers", "(iss)", () => token({ ...good, iss: [issuer.issuer] })],
    ["another audience", "(aud)", () => token({ ...good, aud: "somebody-else" })],
    ["no audience", "(aud)", () => token({ ...good, aud: undefined })],
    ["an end that has passed", "expired at 2026-01-02T03:03:35.000Z", () => token({ ...good, exp: seconds - 30 })],
    ["no end", "(exp)", () => token({ ...good, exp: undefined })],
    ["an end that is no number", "(exp)", () => token({ ...good, exp: "9999999999" })],
    ["a beginning that has not come", "(nbf)", () => token({ ...good, nbf: seconds + 31 })],
    ["a birth in the future", "(iat)", () => token({ ...good, iat: seconds + 31 })],
    ["a birth that is no number", "(iat)", () => token({ ...good, iat: "today" })],
    ["claims that were changed", "signature", async () => tampered(await token(good), { scope: "webhooks:write" })],
    [
      "a signature that was cut off",
      "signature",
      async () => `${(await token(good)).split(".").slice(0, 2).join(".")}.`,
    ],
    ["another typ", "(typ)", () => token(good, { header: { typ: "tellwire-portal+jwt" } })],
    ["the typ of a logout token", "(typ)", () => token(good, { header: { typ: "logout+jwt" } })],
    [
      "an unknown critical header",
      "no signed JWT",
      () => token(good, { header: { crit: ["x-unknown"], "x-unknown": 1 } }),
    ],
    ["an unencoded payload", "no signed JWT", unencoded],
    ["no organization", "organization_id", () => token({})],
    ["an organization that is no id", "organization_id", () => token({ organization_id: "acme" })],
    ["a list of organizations", "organization_id", () => token({ organization_id: [organizationId] })],
    [
      "an organization that does not exist",
      "does not exist",
      () => token({ organization_id: "0196a1b2-0000-7000-8000-000000000000" }),
    ],
    ["nobody", "sub", () => token({ ...good, sub: undefined })],
    ["somebody without a name", "sub", () => token({ ...good, sub: "" })],
    ["somebody with a NUL in the name", "sub", () => token({ ...good, sub: "a\u0000b" })],
    ["somebody with a name that is too long", "sub", () => token({ ...good, sub: "x".repeat(256) })],
    ["a nested JWT", "no signed JWT", nested],
    ["claims that are a list", "no signed JWT", () => signedText("[]")],
    ["a huge text", "8192", async () => `${await token(good)}${"A".repeat(8_192)}`],
    ["a huge claim", "8192", () => token({ ...good, filler: "x".repeat(8_192) })],
    ["a header that is no JSON", "no signed JWT", () => compact("{", good, "x")],
  ])("%s", async (_what, message, make) => {
    await expect(identify(await make())).rejects.toMatchObject({
      reason: "KEY_INVALID",
      message: expect.stringContaining(message),
    });
  });

  it("without a kid a token is taken only where one key would do", async () => {
    const alone = await startTokenIssuer(now);
    const aloneReader = createJsonWebKeysReader({ url: alone.jwksUrl, timeoutMs: 60_000 });
    try {
      const tokens = tokensWith({ issuer: alone.issuer }, aloneReader);
      expect(await tokens(await alone.token(good, { header: { kid: undefined } }))).toBeDefined();
      await alone.addKey({ kid: "second" });
      const anew = tokensWith({ issuer: alone.issuer }, aloneReader);
      await expect(anew(await alone.token(good, { header: { kid: undefined } }))).rejects.toMatchObject({
        reason: "KEY_INVALID",
        message: expect.stringContaining("(kid)"),
      });
    } finally {
      await alone.close();
      await aloneReader.close();
    }
  });

  it("keys and addresses that a token brings along are not looked at", async () => {
    let visits = 0;
    const elsewhere = createServer((_request, response) => {
      visits += 1;
      response.end();
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/keys`;
    try {
      const key = await impostor();
      for (const header of [{ jwk: key.publicJwk }, { jku: url }, { x5u: url }, { x5c: ["AAAA"] }]) {
        await expect(identify(await token(good, { key, header }))).rejects.toMatchObject({ reason: "KEY_INVALID" });
        expect(await identify(await token(good, { header }))).toBeDefined();
      }
      expect(visits).toBe(0);
    } finally {
      elsewhere.close();
    }
  });

  it("a portal token of this server, without its prefix", async () => {
    const secretsKeys = [Buffer.alloc(32, 7)];
    const codec = createPortalTokenCodec({ secretsKeys, secretBox: createSecretBox({ keys: secretsKeys }) });
    const portalToken = await codec.write({
      id: organizationId,
      organizationId,
      projectId: undefined,
      scopes: [],
      maker: { kind: "API_KEY", id: "key_x" },
      issuedAtMs: now(),
      expiresAtMs: now() + 60_000,
    });
    await expect(identify(portalToken.slice(4))).rejects.toMatchObject({ reason: "KEY_INVALID" });
  });

  it("and the other way round: a token of the issuer is no portal token", async () => {
    const secretsKeys = [Buffer.alloc(32, 7)];
    const codec = createPortalTokenCodec({ secretsKeys, secretBox: createSecretBox({ keys: secretsKeys }) });
    await expect(codec.read(`twp_${await token(good)}`, now())).rejects.toMatchObject({ reason: "KEY_INVALID" });
  });

  it("a key of the issuer that is too short to be trusted is not used, and fails nobody else", async () => {
    const weak = await startTokenIssuer(now);
    const weakReader = createJsonWebKeysReader({ url: weak.jwksUrl, timeoutMs: 60_000 });
    try {
      const n = Buffer.alloc(64, 0xff).toString("base64url");
      weak.publish([
        { kty: "RSA", kid: "weak", alg: "RS256", n, e: "AQAB" },
        { kty: "EC", kid: "broken", crv: "P-256" },
      ]);
      const tokens = tokensWith({ issuer: weak.issuer }, weakReader);
      for (const [alg, kid] of [
        ["RS256", "weak"],
        ["ES256", "broken"],
      ]) {
        await expect(tokens(`${compact({ alg, kid })}.${compact(good)}.${compact("x")}`)).rejects.toMatchObject({
          reason: "KEY_INVALID",
        });
      }
    } finally {
      await weak.close();
      await weakReader.close();
    }
  });

  const token = (...args: Parameters<TokenIssuer["token"]>) => issuer.token(...args);
  const unsigned = (alg: string) => `${compact({ alg, kid: "key-0" })}.${compact({ ...good, exp: seconds + 60 })}.`;

  function hmac(secret: string): string {
    const claims = { ...good, iss: issuer.issuer, aud: audience, sub: "user-7", exp: seconds + 60 };
    const input = `${compact({ alg: "HS256", kid: "key-0" })}.${compact(claims)}`;
    return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
  }

  async function impostor() {
    return await issuer.addKey({ kid: "key-0", published: false });
  }

  async function nested(): Promise<string> {
    const inner = await token(good);
    return await signedText(inner, { cty: "JWT" });
  }

  /** Any payload, rightly signed. */
  async function signedText(payload: string, header: object = {}): Promise<string> {
    const { privateKey, alg, kid } = issuer.firstKey;
    return await new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg, kid, ...header }).sign(privateKey);
  }

  async function unencoded(): Promise<string> {
    const { privateKey, alg, kid } = issuer.firstKey;
    const signed = await new FlattenedSign(Buffer.from("e30"))
      .setProtectedHeader({ alg, kid, b64: false, crit: ["b64"] })
      .sign(privateKey);
    return `${signed.protected}.e30.${signed.signature}`;
  }
});

it("whatever anybody writes into a token that its issuer did not sign, it is refused and nothing breaks", async () => {
  const header = fc.record(
    {
      alg: fc.oneof(fc.constantFrom("ES256", "RS256", "EdDSA", "HS256", "none", "__proto__"), fc.jsonValue()),
      kid: fc.oneof(fc.constant("key-0"), fc.jsonValue()),
      typ: fc.jsonValue(),
      crit: fc.oneof(fc.constantFrom(["b64"], ["alg"], []), fc.jsonValue()),
      b64: fc.jsonValue(),
      jwk: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const part = fc.oneof(
    fc.jsonValue().map((value) => compact(JSON.stringify(value))),
    fc.stringMatching(/^[\w-]{0,90}$/),
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
      const refusal = await identify(jwt).then(
        (principal) => (principal === undefined ? "no JWT" : "taken"),
        (error: { reason?: string }) => error.reason ?? "broken",
      );
      expect(["no JWT", "KEY_INVALID"]).toContain(refusal);
    }),
    { numRuns: 500 },
  );
});

describe("texts that are no JWT are somebody else's business", () => {
  it.each([undefined, "", "twk_abc", "twp_a.b.c.d", "a.b", "a.b.c.d.e", "a b.c.d", "ä.b.c"])("%j", async (text) => {
    expect(await identify(text)).toBeUndefined();
  });
});

function tokensWith(
  changes: Partial<ExternalIssuer>,
  keysReader = reader,
): (jwt: string | undefined) => ReturnType<Authenticator> {
  const findKey = createFindIssuerKey({ read: keysReader.read, now, log: { backgroundFailure: () => {} } });
  const tokens = createExternalTokens({
    external: {
      issuer: issuer.issuer,
      audience,
      organizationClaim: "organization_id",
      scopeClaim: "scope",
      operatorClaim: undefined,
      ...changes,
    },
    findKey,
    organizations: {
      async require(id) {
        if (id !== organizationId) throw organizationNotFound(id);
      },
    },
    now,
  });
  return (keyText) => tokens({ keyText, clientCertificate: undefined, origin });
}
