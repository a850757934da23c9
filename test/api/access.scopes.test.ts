import { fromJson } from "@bufbuild/protobuf";
import { timestampFromMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Scope, ScopeSchema } from "../../gen/tellwire/v1/access_pb.ts";
import { accessRuleOf } from "../../src/api/access-rule.ts";
import { scopeMessage, scopeOf } from "../../src/api/messages/scope-message.ts";
import { scopes } from "../../src/domain/scope.ts";
import { contract } from "../e2e/matrix-contract.ts";
import { errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const allScopes = ScopeSchema.values
  .map(({ number }) => number as Scope)
  .filter((scope) => scope !== Scope.UNSPECIFIED);

async function newKey(organizationId: string, given: { scopes?: Scope[]; key?: string } = {}) {
  const by = given.key === undefined ? api.operator : api.clients({ "x-api-key": given.key });
  const { apiKey, key } = await by.organizations.createApiKey({
    organizationId,
    apiKey: { scopes: given.scopes ?? [] },
  });
  return { key, scopes: apiKey!.scopes, id: apiKey!.id, clients: api.clients({ "x-api-key": key }) };
}

it("the contract and the domain have the same scopes", () => {
  expect(allScopes.map(scopeOf)).toEqual([...scopes]);
  expect(scopes.map(scopeMessage)).toEqual(allScopes);
  expect(scopeOf(Scope.UNSPECIFIED)).toBeUndefined();
});

it("every method says who may call it, and a scope that is needed nowhere but by what is still to come is known", async () => {
  const rules = [...contract.values()].map(accessRuleOf);
  const unused = scopes.filter((scope) => !rules.includes(scope));
  expect(unused.filter((scope) => scope !== "audit:read")).toEqual([]);
});

it("a key has the scopes that it is given, and without any all those of its creator", async () => {
  const { id } = await api.addOrganization();
  expect((await newKey(id)).scopes).toEqual(allScopes);
  const some = await newKey(id, { scopes: [Scope.KEYS_WRITE, Scope.KEYS_READ, Scope.WEBHOOKS_READ] });
  expect(some.scopes).toEqual([Scope.WEBHOOKS_READ, Scope.KEYS_READ, Scope.KEYS_WRITE]);
  expect((await newKey(id, { key: some.key })).scopes).toEqual(some.scopes);
  const { apiKeys } = await some.clients.organizations.listApiKeys({ organizationId: id });
  expect(apiKeys.find((apiKey) => apiKey.id === some.id)?.scopes).toEqual(some.scopes);
});

it("nobody can give a key a scope that they do not have themselves", async () => {
  const { id } = await api.addOrganization();
  const { clients } = await newKey(id, { scopes: [Scope.KEYS_WRITE, Scope.WEBHOOKS_READ] });
  const asked = { organizationId: id, apiKey: { scopes: [Scope.WEBHOOKS_READ, Scope.EVENTS_PUBLISH] } };
  const refused = await errorOf(clients.organizations.createApiKey(asked));
  expect(refused).toMatchObject({ reason: "SCOPE_MISSING", code: Code.PermissionDenied });
  expect(refused.message).toContain("events:publish");
  expect((await api.operator.organizations.listApiKeys({ organizationId: id })).apiKeys).toHaveLength(2);
});

it("scopes that are none, or stand twice, are refused", async () => {
  const { id: organizationId, clients } = await api.addOrganization();
  for (const wrong of [[Scope.UNSPECIFIED], [77 as Scope], [Scope.KEYS_READ, Scope.KEYS_READ]]) {
    const { reason, fields } = await errorOf(
      clients.organizations.createApiKey({ organizationId, apiKey: { scopes: wrong } }),
    );
    expect([reason, Object.keys(fields)[0]]).toEqual(["INVALID_FIELDS", expect.stringMatching(/^api_key\.scopes/)]);
  }
});

it("a call without its scope learns which one it needs, before anything of its request is looked at", async () => {
  const { id } = await api.addOrganization();
  const { clients } = await newKey(id, { scopes: [Scope.WEBHOOKS_READ] });
  expect((await clients.webhooks.listWebhooks({})).webhooks).toEqual([]);
  expect(await errorOf(clients.webhooks.createWebhook({}))).toMatchObject({
    reason: "SCOPE_MISSING",
    code: Code.PermissionDenied,
    metadata: { scope: "webhooks:write" },
    fields: {},
  });
});

it("a long call ends at its next message when its key is revoked or has expired", async () => {
  const { id: organizationId } = await api.addOrganization();
  for (const end of ["revoked", "expired"] as const) {
    const expireTime = timestampFromMs(api.dependencies.ids.now() + 60_000);
    const { apiKey, key } = await api.operator.organizations.createApiKey({ organizationId, apiKey: { expireTime } });
    const taken = Promise.withResolvers<void>();
    async function* requests() {
      const event = { type: "a", data: fromJson(ValueSchema, {}) };
      yield { event };
      await taken.promise;
      yield { event };
    }
    const answers: unknown[] = [];
    const call = (async () => {
      for await (const { result } of api.clients({ "x-api-key": key }).events.publishEventStream(requests())) {
        answers.push(result.case);
        if (end === "revoked") await api.operator.organizations.revokeApiKey({ organizationId, id: apiKey!.id });
        else api.advance(60_001);
        taken.resolve();
      }
    })();
    const thrown = await call.catch((error: unknown) => ConnectError.from(error));
    expect(thrown).toMatchObject({ code: Code.Unauthenticated });
    expect(answers).toEqual(["eventId"]);
  }
});

it("an operator's scopes are all of them", async () => {
  const { id: organizationId } = await api.addOrganization();
  const webhook = webhookFor("https://a.example.com/", { organizationId });
  expect((await api.operator.webhooks.createWebhook({ webhook })).webhook).toBeDefined();
});
