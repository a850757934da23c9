import { afterAll, beforeAll, expect, it } from "vitest";
import { createJsonWebKeysReader, type JsonWebKeysReader } from "../../src/outbound/json-web-keys.ts";
import { createExternalTokens } from "../../src/usecases/external-tokens.ts";
import { createFindIssuerKey } from "../../src/usecases/issuer-keys.ts";
import { origin as nowhere } from "../support/principals.ts";
import { audience, startTokenIssuer, type TokenIssuer, tampered } from "../support/token-issuer.ts";

const organizationId = "0196a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2c";
const origin = { ...nowhere, address: "192.0.2.7", requestId: "req_1" };
const now = () => 1_767_323_045_000;
const seconds = now() / 1000;

let issuer: TokenIssuer;
let reader: JsonWebKeysReader;
beforeAll(async () => {
  issuer = await startTokenIssuer(now);
  reader = createJsonWebKeysReader({ url: issuer.jwksUrl, timeoutMs: 60_000 });
});
afterAll(async () => {
  await issuer.close();
  await reader.close();
});

const caller = { organization_id: organizationId, scope: "events:publish" };

it("a token that was found good is not checked again for each message of a stream, and is after five seconds", async () => {
  const { tokens, advance, checks } = onClock();
  const token = await issuer.token(caller);
  for (let message = 0; message < 50; message += 1) expect(await tokens(token)).toMatchObject({ organizationId });
  expect(checks()).toBe(1);
  advance(4_999);
  await tokens(token);
  expect(checks()).toBe(1);
  advance(1);
  await tokens(token);
  expect(checks()).toBe(2);
});

it("a token that was found good opens nothing more from the moment when it ends", async () => {
  const { tokens, advance } = onClock();
  const token = await issuer.token({ ...caller, exp: seconds + 2 });
  advance(31_999);
  expect(await tokens(token)).toMatchObject({ organizationId });
  advance(1);
  await expect(tokens(token)).rejects.toMatchObject({
    reason: "KEY_INVALID",
    message: expect.stringContaining("expired"),
  });
});

it("a token that was found good makes no other token good, and is told from where each call comes", async () => {
  const { tokens } = onClock();
  const token = await issuer.token(caller);
  await tokens(token);
  await expect(tokens(tampered(token, { scope: "keys:write" }))).rejects.toMatchObject({ reason: "KEY_INVALID" });
  const elsewhere = { ...origin, address: "192.0.2.8" };
  expect(await tokens(token, elsewhere)).toMatchObject({ origin: elsewhere });
});

it.each([
  ["under the same name", {}],
  ["without a name", { header: { kid: undefined } }],
])("a key that the issuer has replaced %s is read anew for the first token that it signs", async (_how, options) => {
  issuer.publish([issuer.firstKey.publicJwk]);
  const { tokens, advance } = onClock();
  expect(await tokens(await issuer.token(caller, options))).toMatchObject({ organizationId });
  const key = await issuer.addKey({ kid: issuer.firstKey.kid, published: false });
  issuer.publish([key.publicJwk]);
  const token = await issuer.token(caller, { ...options, key });
  // As little as a moment after the issuer was asked, it is not asked again.
  await expect(tokens(token)).rejects.toMatchObject({ message: expect.stringContaining("signature") });
  const askedBefore = issuer.asked();
  advance(10_000);
  expect(await tokens(token)).toMatchObject({ organizationId });
  const old = await issuer.token({ ...caller, jti: "another" }, options);
  for (let tries = 0; tries < 20; tries += 1) {
    await expect(tokens(old)).rejects.toMatchObject({ message: expect.stringContaining("signature") });
  }
  expect(issuer.asked() - askedBefore).toBe(1);
  const ended = await issuer.token({ ...caller, exp: seconds - 60 }, { ...options, key });
  await expect(tokens(ended)).rejects.toMatchObject({ message: expect.stringContaining("expired") });
});

it("while the issuer is away, a token with a wrong signature is a bad token, and nothing else", async () => {
  issuer.publish([issuer.firstKey.publicJwk]);
  const { tokens, advance } = onClock();
  await tokens(await issuer.token(caller));
  issuer.answerWith((response) => void response.writeHead(500).end());
  try {
    advance(10_000);
    const forged = tampered(await issuer.token(caller), { scope: "keys:write" });
    await expect(tokens(forged)).rejects.toMatchObject({
      reason: "KEY_INVALID",
      message: expect.stringContaining("signature"),
    });
  } finally {
    issuer.answerWith(undefined);
  }
});

/** With a clock that the test moves, and a count of the tokens whose key was looked up. */
function onClock() {
  let aheadMs = 0;
  let checks = 0;
  const clock = () => now() + aheadMs;
  const find = createFindIssuerKey({ read: reader.read, now: clock, log: { backgroundFailure: () => {} } });
  const tokens = createExternalTokens({
    external: {
      issuer: issuer.issuer,
      audience,
      organizationClaim: "organization_id",
      scopeClaim: "scope",
      operatorClaim: undefined,
    },
    findKey: (...asked) => {
      checks += 1;
      return find(...asked);
    },
    organizations: { require: async () => {} },
    now: clock,
  });
  return {
    tokens: (keyText: string, from = origin) => tokens({ keyText, clientCertificate: undefined, origin: from }),
    advance: (ms: number) => {
      aheadMs += ms;
    },
    checks: () => checks,
  };
}
