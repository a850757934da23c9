import { afterEach, beforeEach, expect, it } from "vitest";
import { createJsonWebKeysReader, type JsonWebKeysReader } from "../../src/outbound/json-web-keys.ts";
import { createFindIssuerKey, type FindIssuerKey } from "../../src/usecases/issuer-keys.ts";
import { startTokenIssuer, type TokenIssuer } from "../support/token-issuer.ts";
import { waitFor } from "../support/wait-for.ts";

const times = { pause: 10_000, fresh: 600_000, usable: 3_600_000 };
let issuer: TokenIssuer;
let reader: JsonWebKeysReader;
let nowMs: number;
let failures: unknown[];
let find: (kid?: string) => ReturnType<FindIssuerKey>;

beforeEach(async () => {
  issuer = await startTokenIssuer();
  reader = createJsonWebKeysReader({ url: issuer.jwksUrl, timeoutMs: 60_000 });
  nowMs = 0;
  failures = [];
  const findKey = createFindIssuerKey({
    read: reader.read,
    now: () => nowMs,
    log: { backgroundFailure: (_what, error) => void failures.push(error) },
    times,
  });
  find = (kid = "key-0") => findKey({ alg: "ES256", kid }, { payload: "", signature: "" });
});
afterEach(async () => {
  await issuer.close();
  await reader.close();
});

it("calls that come together ask once, and those that follow do not ask at all", async () => {
  await Promise.all(Array.from({ length: 20 }, () => find()));
  await find();
  expect(issuer.asked()).toBe(1);
});

it("however many tokens name unknown keys, the issuer is asked once in a pause", async () => {
  await find();
  nowMs += times.pause;
  const refusals = await Promise.allSettled(Array.from({ length: 200 }, (_, index) => find(`made-up-${index}`)));
  for (const refusal of refusals) expect(refusal).toMatchObject({ reason: { reason: "KEY_INVALID" } });
  nowMs += times.pause - 1;
  await expect(find("made-up")).rejects.toMatchObject({ reason: "KEY_INVALID" });
  expect(issuer.asked()).toBe(2);
});

it("a key that the issuer has begun to use is found at the first token that names it", async () => {
  await find();
  await issuer.addKey({ kid: "next" });
  nowMs += times.pause;
  expect(await find("next")).toBeDefined();
  expect(issuer.asked()).toBe(2);
});

it("while the keys have never been read, tokens are answered as unavailable, and the issuer is asked once in a pause", async () => {
  issuer.answerWith((response) => void response.writeHead(500).end());
  const refusals = await Promise.allSettled(Array.from({ length: 50 }, () => find()));
  for (const refusal of refusals) expect(refusal).toMatchObject({ reason: { reason: "JWKS_UNAVAILABLE" } });
  await expect(find()).rejects.toMatchObject({ reason: "JWKS_UNAVAILABLE", retryAfterMs: 5_000 });
  expect(issuer.asked()).toBe(1);
  expect(failures).toHaveLength(1);
  issuer.answerWith(undefined);
  nowMs += times.pause;
  expect(await find()).toBeDefined();
});

it("while the issuer is away, known keys work, and whether an unknown one exists cannot be said", async () => {
  await find();
  issuer.answerWith((response) => void response.destroy());
  nowMs += times.pause;
  await expect(find("next")).rejects.toMatchObject({ reason: "JWKS_UNAVAILABLE" });
  await expect(find("next")).rejects.toMatchObject({ reason: "JWKS_UNAVAILABLE" });
  expect(await find()).toBeDefined();
  expect(issuer.asked()).toBe(2);
});

it("a clock that is set back keeps nobody from asking", async () => {
  nowMs = 24 * times.usable;
  await find();
  nowMs = 0;
  await issuer.addKey({ kid: "next" });
  expect(await find("next")).toBeDefined();
  expect(issuer.asked()).toBe(2);
});

it("keys that have become old are read again beside the calls, and one that was withdrawn works no more", async () => {
  await find();
  await issuer.addKey({ kid: "next" });
  issuer.publish([]);
  nowMs += times.fresh;
  expect(await find()).toBeDefined();
  await waitFor(() => issuer.asked() === 2, { what: "the second question" });
  await waitFor(async () => (await find().catch(() => "refused")) === "refused", { what: "the end" });
});

it("keys that could not be read again for long work no more", async () => {
  await find();
  issuer.answerWith((response) => void response.writeHead(500).end());
  nowMs += times.usable;
  await expect(find()).rejects.toMatchObject({ reason: "JWKS_UNAVAILABLE" });
});
