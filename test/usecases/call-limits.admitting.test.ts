import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { unlimited } from "../../src/domain/limits.ts";
import { TellwireError } from "../../src/errors.ts";
import { type CallKind, createCallLimits } from "../../src/usecases/call-limits.ts";
import { createSharedRates } from "../../src/usecases/shared-rates.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { operator, organizationPrincipal } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";

const anHour = 3_600_000;
const perKey = { count: 3, periodMs: anHour, burst: 3 };
const perOrganization = { count: 5, periodMs: anHour, burst: 5 };

let api: TestApi;
let refused: string[];
beforeAll(async () => {
  refused = [];
  api = await startApi({
    limits: {
      defaults: {
        ...unlimited,
        callsPerKey: perKey,
        calls: perOrganization,
        receiverCalls: { count: 1, periodMs: anHour, burst: 1 },
      },
      failedLogins: { count: 3, periodMs: anHour, burst: 3 },
      onRefused: (limit) => void refused.push(limit),
      onWrongKeys: (network) => void refused.push(`wrong keys from ${network}`),
    },
  });
  await api.useCases.accessChannel.start();
});
afterAll(async () => {
  await api.useCases.accessChannel.stop();
  await api.close();
});

async function organization(): Promise<string> {
  return (await api.useCases.organizations.create(operator, { name: "Acme" })).id;
}

async function call(organizationId: string, key: string, kind: CallKind = "plain") {
  const principal = organizationPrincipal(organizationId, { actor: { kind: "API_KEY", id: key } });
  return await api.useCases.callLimits.admit(principal, kind);
}

test("a key has its limit, and its organization one for all keys", async () => {
  const id = await organization();
  for (let calls = 0; calls < 3; calls += 1) expect((await call(id, "key_1")).refusal).toBeUndefined();
  refused = [];
  const { refusal, headers } = await call(id, "key_1");
  expect(refusal).toMatchObject({ reason: "RATE_LIMITED", code: "RESOURCE_EXHAUSTED", metadata: { limit: "key" } });
  expect(refusal?.retryAfterMs).toBeGreaterThan(anHour / 3 - 100_000);
  expect(headers).toEqual({
    "ratelimit-policy": '"key";q=3;w=3600, "organization";q=5;w=3600',
    ratelimit: expect.stringMatching(/^"key";r=0;t=1[12]\d\d, "organization";r=2;t=\d+$/),
  });
  expect((await call(id, "key_2")).refusal, "the refused call cost the organization nothing").toBeUndefined();
  expect((await call(id, "key_2")).refusal).toBeUndefined();
  expect((await call(id, "key_2")).refusal).toMatchObject({ metadata: { limit: "organization" } });
  expect(refused).toEqual(["key", "organization"]);
});

test("calls that make a receiver be called have a limit of their own, for all keys of the organization", async () => {
  const id = await organization();
  expect((await call(id, "key_1", "calls receiver")).refusal).toBeUndefined();
  const { refusal, headers } = await call(id, "key_2", "calls receiver");
  expect(refusal).toMatchObject({ metadata: { limit: "receiver-calls" } });
  expect(headers?.["ratelimit-policy"]).toContain('"receiver-calls";q=1;w=3600');
  expect((await call(id, "key_2")).refusal, "other calls go on").toBeUndefined();
});

test("headers and refusal tell the same time, however long it takes to say both", async () => {
  let elapsed = 0;
  const rates = createSharedRates({
    channel: { publish: async () => {}, subscribe: () => {} },
    name: "calls",
    processId: "one",
    maxKeys: 10,
    // Each look at the clock takes a while.
    elapsed: () => (elapsed += 300),
    onFailure: () => {},
  });
  const limits = { ...unlimited, callsPerKey: { count: 1, periodMs: anHour, burst: 1 } };
  const ofOrganizations = { known: () => limits, of: async () => limits, changed: async () => {} };
  const { admit } = createCallLimits({ limits: ofOrganizations, rates, onRefused: () => {} });
  const principal = organizationPrincipal(await organization());
  expect((await admit(principal, "plain")).refusal).toBeUndefined();
  for (let calls = 0; calls < 10; calls += 1) {
    const { refusal, headers } = await admit(principal, "plain");
    const seconds = Math.ceil((refusal?.retryAfterMs ?? 0) / 1000);
    expect(headers?.ratelimit).toBe(`"key";r=0;t=${seconds}`);
  }
});

test("an operator is not limited", async () => {
  for (let calls = 0; calls < 20; calls += 1) {
    expect(await api.useCases.callLimits.admit(operator, "calls receiver")).toEqual({
      headers: undefined,
      refusal: undefined,
    });
  }
});

test("what an operator sets for an organization holds at once, and is cleared again", async () => {
  const id = await organization();
  const { update } = api.useCases.organizations;
  expect((await call(id, "key_1")).headers?.["ratelimit-policy"]).toContain('"key";q=3;');
  await update(operator, { id, limits: { callsPerKey: { count: 100, periodMs: 60_000, burst: 200 } } });
  const policy = async (): Promise<string> => (await call(id, "key_1")).headers?.["ratelimit-policy"] ?? "";
  await waitFor(async () => (await policy()).includes('"key";q=200;w=120, "organization";q=5'));
  await update(operator, { id, limits: null });
  await waitFor(async () => (await policy()).includes('"key";q=3;'));
});

test("an address that sends too many wrong keys is not listened to, but for keys that worked from there before", async () => {
  const { key } = await api.addOrganization();
  const { key: fresh } = await api.addOrganization();
  expect(await login(key)).toBe("OK");
  refused = [];
  for (let tries = 0; tries < 3; tries += 1) expect(await login(`twk_guess${tries}`)).toBe("KEY_INVALID");
  expect(await login("twk_guess3")).toBe("RATE_LIMITED");
  expect(await login("twk_guess4", "2001:db8:1:2:ffff::1"), "the same /64").toBe("RATE_LIMITED");
  expect(await login(fresh), "a right key is not looked at either").toBe("RATE_LIMITED");
  expect(refused).toContain("wrong keys from 2001:db8:1:2::/64");
  expect(await login(key), "who was there before goes on").toBe("OK");
  expect(await login(fresh, "2001:db8:1:3::7"), "another address").toBe("OK");
});

test("keys and tokens that were good once are no guesses: whoever goes on with one locks nobody out", async () => {
  const { id: organizationId, clients, key } = await api.addOrganization();
  const { key: fresh } = await api.addOrganization();
  const { organizations } = clients;
  const expireTime = timestampFromMs(api.dependencies.ids.now() + 90_000);
  const expiring = await organizations.createApiKey({ organizationId, apiKey: { name: "expires", expireTime } });
  const { apiKey, key: revoked } = await organizations.createApiKey({ organizationId, apiKey: { name: "revoked" } });
  const ofRevoked = await api.clients({ "x-api-key": revoked }).organizations.createPortalToken({ organizationId });
  const short = await organizations.createPortalToken({ organizationId, lifetime: { seconds: 60n } });
  const ended = [expiring.key, revoked, ofRevoked.token, short.token];
  const address = "192.0.2.77";
  for (const text of ended) expect(await login(text, address)).toBe("OK");

  await api.operator.organizations.revokeApiKey({ organizationId, id: apiKey!.id });
  api.advance(90_000);
  for (const text of [...ended, ...ended]) expect(await login(text, address)).toBe("KEY_INVALID");
  expect(await login(fresh, address), "somebody new from the same address").toBe("OK");

  // What only looks like one of them has to be guessed: it counts.
  const forged = [`${short.token.slice(0, -3)}AAA`, `${revoked.slice(0, -3)}AAA`, "twp_a.b.c"];
  for (const text of forged) expect(await login(text, address)).toBe("KEY_INVALID");
  expect(await login(key, address)).toBe("RATE_LIMITED");
});

/** "OK", or the reason of the refusal. */
async function login(keyText: string, address = "2001:db8:1:2::7"): Promise<string> {
  const origin = { address, userAgent: undefined, requestId: undefined };
  try {
    await api.useCases.authenticate({ keyText, origin, clientCertificate: undefined });
    return "OK";
  } catch (error) {
    if (!(error instanceof TellwireError)) throw error;
    return error.reason;
  }
}
