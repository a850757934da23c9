import { afterAll, beforeAll, expect, it } from "vitest";
import { WebhookFormat } from "../../gen/tellwire/v1/webhook_pb.ts";
import { uuidOf } from "../../src/api/messages/wire-values.ts";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { serveDialect } from "../dialects/serve-dialect.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const url = "https://example.com/hook";
const headers = { Authorization: "Bearer canary-1", "x-shop": "7" };
const shown = { Authorization: "********", "x-shop": "7" };

it("no answer shows the value of a header that is a secret, and each request is still to carry it", async () => {
  const { clients } = await api.addOrganization();
  const created = await clients.webhooks.createWebhook({ webhook: webhookFor(url, { headers }) });
  const id = created.webhook!.id;
  const answers = [
    created,
    await clients.webhooks.getWebhook({ id }),
    await clients.webhooks.listWebhooks({}),
    await clients.webhooks.updateWebhook({ webhook: { id, description: "new" } }),
    await api.operator.webhooks.getWebhook({ id }),
  ];
  expect(created.webhook?.headers).toEqual(shown);
  for (const answer of answers) expect(JSON.stringify(answer, bigintAsText)).not.toContain("canary-1");
  expect(await stored(id)).toEqual(headers);
});

it("a webhook that is read, changed and sent back keeps its secrets", async () => {
  const { clients } = await api.addOrganization();
  const id = await create(clients);
  const { webhook } = await clients.webhooks.getWebhook({ id });
  await clients.webhooks.updateWebhook({
    webhook: { ...webhook!, headers: { ...webhook!.headers, "x-shop": "8" } },
    updateMask: { paths: ["headers", "description"] },
  });
  expect(await stored(id)).toEqual({ ...headers, "x-shop": "8" });
  await clients.webhooks.updateWebhook({ webhook: { id, headers: { authorization: "Bearer 2" } } });
  expect(await stored(id)).toEqual({ authorization: "Bearer 2" });
  await clients.webhooks.updateWebhook({ webhook: { id }, updateMask: { paths: ["headers"] } });
  expect(await stored(id)).toEqual({});
});

it("a mask that stands for nothing is refused, by creation, update and import", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  const masked = { "x-api-key": "********" };
  const fields = { 'webhook.headers["x-api-key"]': expect.stringContaining("mask") };
  const creation = await errorOf(clients.webhooks.createWebhook({ webhook: webhookFor(url, { headers: masked }) }));
  expect(creation.fields).toEqual(fields);
  const id = await create(clients);
  const update = await errorOf(clients.webhooks.updateWebhook({ webhook: { id, headers: masked } }));
  expect(update.fields).toEqual(fields);
  const webhook = webhookFor(url, {
    headers: masked,
    organizationId,
    id,
    status: 3,
    signingSecret: `whsec_${"A".repeat(32)}`,
  });
  const { results } = await api.operator.webhooks.importWebhooks({ imports: [{ webhook }] });
  expect(results[0]?.error?.message).toContain("mask");
});

it("a secret does not go to another host unless it is given anew", async () => {
  const { clients } = await api.addOrganization();
  const id = await create(clients);
  const elsewhere = "https://elsewhere.example/hook";
  for (const change of [{ url: elsewhere }, { url: elsewhere, headers: shown }]) {
    const refused = await errorOf(clients.webhooks.updateWebhook({ webhook: { id, ...change } }));
    expect(Object.keys(refused.fields)).toEqual(['webhook.headers["Authorization"]']);
  }
  expect((await clients.webhooks.getWebhook({ id })).webhook?.url).toBe(url);
  await clients.webhooks.updateWebhook({ webhook: { id, url: "https://example.com/other-path" } });
  await clients.webhooks.updateWebhook({ webhook: { id, url: elsewhere, headers } });
  expect(await stored(id)).toEqual(headers);
  await clients.webhooks.updateWebhook({ webhook: { id, url, headers: { "x-shop": "9" } } });
  expect(await stored(id)).toEqual({ "x-shop": "9" });
});

it("Verifik's API shows masks too", async () => {
  const { clients, key } = await api.addOrganization();
  const id = await create(clients, { format: WebhookFormat.VERIFIK, name: "masked" });
  const defaultPolicy = { delaysMs: [1_000], maxAttempts: 2, timeoutMs: 1_000 };
  const verifik = await serveDialect(api, createVerifikDialect(api.useCases, { defaultPolicy }));
  try {
    const { body } = await verifik.call("GET", `/v2/webhooks/${id}`, { key });
    expect(body).toMatchObject({ data: { headers: shown } });
  } finally {
    await verifik.close();
  }
});

async function create(clients: Clients, fields: Parameters<typeof webhookFor>[1] = {}): Promise<string> {
  return (await clients.webhooks.createWebhook({ webhook: webhookFor(url, { headers, ...fields }) })).webhook!.id;
}

async function stored(id: string): Promise<unknown> {
  const webhook = await api.database.em().findOneOrFail(WebhookEntity, { id: uuidOf("webhook", id, "id") });
  return webhook.headers;
}

function bigintAsText(_name: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}` : value;
}
