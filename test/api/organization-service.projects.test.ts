import { afterAll, beforeAll, expect, it } from "vitest";
import { errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

it("an organization lists its projects from its creation on, or by an update, which leaves the name alone", async () => {
  const { createOrganization, updateOrganization, getOrganization } = api.operator.organizations;
  const created = await createOrganization({ organization: { name: "Acme", projectIds: ["one"] } });
  const { id } = created.organization!;
  expect(created.organization!.projectIds).toEqual(["one"]);
  await updateOrganization({ organization: { id, projectIds: ["one", "two"] } });
  expect((await getOrganization({ id })).organization).toMatchObject({ name: "Acme", projectIds: ["one", "two"] });
  await updateOrganization({ organization: { id, name: "Acme 2" } });
  expect((await getOrganization({ id })).organization).toMatchObject({ name: "Acme 2", projectIds: ["one", "two"] });
  await updateOrganization({ organization: { id }, updateMask: { paths: ["project_ids"] } });
  expect((await getOrganization({ id })).organization).toMatchObject({ name: "Acme 2", projectIds: [] });
  expect((await errorOf(updateOrganization({ organization: { id } }))).fields).toHaveProperty(["organization.name"]);
});

it("where projects are listed, a webhook can name no other one", async () => {
  const { id, clients } = await api.addOrganization();
  await api.operator.organizations.updateOrganization({ organization: { id, projectIds: ["own"] } });
  const { createWebhook, updateWebhook } = clients.webhooks;
  const foreign = webhookFor("https://a.example.com/", { projectIds: ["own", "foreign"] });
  expect(await errorOf(createWebhook({ webhook: foreign }))).toMatchObject({
    reason: "PROJECT_NOT_FOUND",
    metadata: { project_id: "foreign" },
  });
  const { webhook } = await createWebhook({ webhook: webhookFor("https://a.example.com/", { projectIds: ["own"] }) });
  const change = { id: webhook!.id, projectIds: ["foreign"] };
  expect((await errorOf(updateWebhook({ webhook: change }))).reason).toBe("PROJECT_NOT_FOUND");
});

it("a project that is listed no more stays with the webhooks that have it", async () => {
  const { id, clients } = await api.addOrganization();
  const { createWebhook, updateWebhook } = clients.webhooks;
  const { webhook } = await createWebhook({ webhook: webhookFor("https://a.example.com/", { projectIds: ["old"] }) });
  await api.operator.organizations.updateOrganization({ organization: { id, projectIds: ["new"] } });
  const changed = await updateWebhook({ webhook: { id: webhook!.id, description: "changed" } });
  expect(changed.webhook).toMatchObject({ description: "changed", projectIds: ["old"] });
});
