import { toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ApiKeySchema } from "../../gen/tellwire/v1/organization_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { ApiKeyEntity } from "../../src/store/entities/api-key.ts";
import { createUseCases } from "../../src/usecases/use-cases.ts";
import { peer } from "../support/principals.ts";
import { errorOf, startApi, type TestApi } from "./start-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

it("an organization is created, renamed, read and listed", async () => {
  const { organization } = await api.operator.organizations.createOrganization({ organization: { name: "Acme" } });
  const id = organization!.id;
  expect(id).toMatch(/^org_/);
  expect((await api.operator.organizations.getOrganization({ id })).organization).toEqual(organization);
  const renamed = await api.operator.organizations.updateOrganization({ organization: { id, name: "Acme Ltd" } });
  expect(renamed.organization).toMatchObject({ id, name: "Acme Ltd" });
  api.advance(2);
  const { organization: second } = await api.operator.organizations.createOrganization({ organization: { name: "B" } });
  const first = await api.operator.organizations.listOrganizations({ pageSize: 1 });
  expect(first.organizations).toMatchObject([{ id: second!.id }]);
  const next = await api.operator.organizations.listOrganizations({ pageSize: 1, pageToken: first.nextPageToken });
  expect(next.organizations).toMatchObject([{ id }]);
});

it("what is wrong with an organization is named", async () => {
  const { createOrganization, updateOrganization, getOrganization } = api.operator.organizations;
  expect((await errorOf(createOrganization({ organization: {} }))).fields).toHaveProperty(["organization.name"]);
  expect((await errorOf(createOrganization({}))).fields).toHaveProperty("organization");
  const noId = await errorOf(updateOrganization({ organization: { name: "x" } }));
  expect(noId.fields).toHaveProperty(["organization.id"]);
  expect((await errorOf(getOrganization({ id: "org_x" }))).fields).toHaveProperty("id");
  const { id } = await api.addOrganization();
  const mask = { organization: { id, name: "x" }, updateMask: { paths: ["create_time"] } };
  expect((await errorOf(updateOrganization(mask))).fields.update_mask).toContain("only name");
  const unknown = await errorOf(
    updateOrganization({ organization: { id: "org_00000000000000000000000000", name: "x" } }),
  );
  expect(unknown.reason).toBe("ORGANIZATION_NOT_FOUND");
});

it("a key is shown once, stored as a hash, and opens its organization by either header", async () => {
  const { id: organizationId, clients } = await api.addOrganization();
  const { key, apiKey } = await clients.organizations.createApiKey({ organizationId, apiKey: { name: "second" } });
  expect(key).toMatch(/^twk_[A-Za-z0-9_-]{43}$/);
  expect(apiKey).toMatchObject({ organizationId, name: "second", prefix: key.slice(0, 12) });
  const row = await api.database.em().findOneOrFail(ApiKeyEntity, { id: parseId("apiKey", apiKey!.id)! });
  expect(JSON.stringify({ ...row, hash: Buffer.from(row.hash).toString("latin1") })).not.toContain(key.slice(12));
  for (const headers of [
    { "x-api-key": key },
    { authorization: `Bearer ${key}` },
    { authorization: `bearer  ${key}` },
  ]) {
    expect(
      (await api.clients(headers).organizations.getOrganization({ id: organizationId })).organization,
    ).toBeDefined();
  }
  const { apiKeys } = await clients.organizations.listApiKeys({ organizationId });
  expect(apiKeys.map(({ name }) => name).sort()).toEqual(["second", "test"]);
  for (const listed of apiKeys) expect(toJsonString(ApiKeySchema, listed)).not.toContain(key.slice(12));
});

it("a revoked key opens nothing from then on, here at once and elsewhere within seconds", async () => {
  const { id: organizationId, clients, key } = await api.addOrganization();
  const elsewhere = createUseCases(api.dependencies);
  await elsewhere.authenticate({ ...peer, keyText: key });
  const { apiKeys } = await clients.organizations.listApiKeys({ organizationId });
  const { id } = apiKeys[0]!;
  await clients.organizations.revokeApiKey({ organizationId, id });
  const refused = await errorOf(clients.webhooks.listWebhooks({}));
  expect(refused).toMatchObject({ reason: "KEY_INVALID", code: Code.Unauthenticated });
  expect(refused.message).toContain("revoked");
  api.advance(5_000);
  await expect(elsewhere.authenticate({ ...peer, keyText: key })).rejects.toMatchObject({ reason: "KEY_INVALID" });

  await api.operator.organizations.revokeApiKey({ organizationId, id });
  const listed = (await api.operator.organizations.listApiKeys({ organizationId })).apiKeys;
  expect(listed[0]?.revokeTime).toBeDefined();
  const unknown = { organizationId, id: "key_00000000000000000000000000" };
  expect((await errorOf(api.operator.organizations.revokeApiKey(unknown))).reason).toBe("API_KEY_NOT_FOUND");
});

it("a key that expired opens nothing, also where it was used just before", async () => {
  const { id: organizationId } = await api.addOrganization();
  const expireTime = timestampFromMs(api.dependencies.ids.now() + 120_000);
  const { key } = await api.operator.organizations.createApiKey({ organizationId, apiKey: { expireTime } });
  const clients = api.clients({ "x-api-key": key });
  await clients.webhooks.listWebhooks({});
  api.advance(120_001);
  const refused = await errorOf(clients.webhooks.listWebhooks({}));
  expect(refused.reason).toBe("KEY_INVALID");
  expect(refused.message).toContain("expired");
  const past = await errorOf(api.operator.organizations.createApiKey({ organizationId, apiKey: { expireTime } }));
  expect(past.fields).toHaveProperty(["api_key.expire_time"]);
});

it("without an operator key nobody is an operator", async () => {
  const { authenticate } = createUseCases({ ...api.dependencies, operatorKeys: [] });
  for (const keyText of ["undefined", "", "operator"]) {
    await expect(authenticate({ ...peer, keyText })).rejects.toMatchObject({ reason: "KEY_INVALID" });
  }
});
