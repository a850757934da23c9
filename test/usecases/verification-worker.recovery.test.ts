import { afterEach, beforeEach, expect, it } from "vitest";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { createUseCases } from "../../src/usecases/use-cases.ts";
import type { WebhookFields } from "../../src/usecases/webhook-fields.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { operator } from "../support/principals.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

let api: TestApi;
let receiver: Receiver;
let organizationId: string;
beforeEach(async () => {
  api = await startApi();
  receiver = await startReceiver(echoChallenge);
  organizationId = (await api.useCases.organizations.create(operator, { name: "Acme" })).id;
});
afterEach(async () => {
  await api.close();
  await receiver.close();
});

it("a verification that nobody began is made when a worker starts", async () => {
  const { record } = await create();
  expect(receiver.requests).toHaveLength(0);
  api.useCases.verificationWorker.start();
  await waitFor(() => isActive(record.webhook.id));
  expect(receiver.requests).toHaveLength(1);
});

it("a verification that a crash cut short is made up for by another process, after its lease", async () => {
  receiver.respondWith(() => "hang");
  const crashing = createUseCases(api.dependencies);
  crashing.verificationWorker.start();
  const begunAt = Date.now();
  const { record } = await create(crashing);
  await waitFor(() => receiver.requests.length === 1, { what: "the first challenge" });
  await crashing.verificationWorker.stop({ graceMs: 0 });
  expect(await isActive(record.webhook.id)).toBe(false);

  receiver.respondWith(echoChallenge);
  const { verificationDueAt } = await api.database.em().findOneOrFail(WebhookEntity, { id: record.webhook.id });
  expect(verificationDueAt!.getTime()).toBeGreaterThan(begunAt + 20_000);
  api.advance(60_000);
  const other = createUseCases(api.dependencies);
  other.verificationWorker.start();
  await waitFor(() => isActive(record.webhook.id), { what: "the verification by another process" });
  await other.verificationWorker.stop({ graceMs: 1_000 });
  expect(api.backgroundFailures).toEqual([]);
});

it("two workers on one database make each verification once", async () => {
  const workers = [createUseCases(api.dependencies), createUseCases(api.dependencies)];
  const ids: string[] = [];
  for (let index = 0; index < 20; index += 1) ids.push((await create()).record.webhook.id);
  for (const { verificationWorker } of workers) verificationWorker.start();
  await waitFor(async () => (await Promise.all(ids.map(isActive))).every(Boolean), { what: "every verification" });
  for (const { verificationWorker } of workers) await verificationWorker.stop({ graceMs: 1_000 });
  expect(receiver.requests).toHaveLength(20);
});

it("receivers of one organization that never answer hold up no verification of another", async () => {
  const silent = await startReceiver(() => "hang");
  const { concurrency } = api.dependencies.verification;
  for (let index = 0; index < 2 * concurrency; index += 1) await create(api.useCases, silent.url);
  organizationId = (await api.useCases.organizations.create(operator, { name: "Another" })).id;
  const { record } = await create();
  api.useCases.verificationWorker.start();
  await waitFor(() => isActive(record.webhook.id), { what: "the verification of another organization" });
  expect(silent.requests.length).toBeLessThan(concurrency);
  await api.useCases.verificationWorker.stop({ graceMs: 0 });
  await silent.close();
});

it("a worker that stops while it looks for work begins nothing beyond what it is looking for", async () => {
  const atOnce = api.dependencies.verification.concurrency / 4;
  for (let index = 0; index < 2 * atOnce; index += 1) {
    organizationId = (await api.useCases.organizations.create(operator, { name: `Acme ${index}` })).id;
    await create();
  }
  api.useCases.verificationWorker.start();
  await api.useCases.verificationWorker.stop({ graceMs: 5_000 });
  expect(receiver.requests).toHaveLength(atOnce);
});

it("a worker that stops lets the verification under way finish", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  receiver.respondWith(async (request) => {
    await released;
    return echoChallenge(request);
  });
  api.useCases.verificationWorker.start();
  const { record } = await create();
  await waitFor(() => receiver.requests.length === 1);
  const stopping = api.useCases.verificationWorker.stop({ graceMs: 60_000 });
  release();
  await stopping;
  expect(await isActive(record.webhook.id)).toBe(true);
});

function create(useCases = api.useCases, url = receiver.url) {
  const fields: WebhookFields = {
    projectIds: [],
    name: "",
    description: "",
    url,
    eventTypes: ["*"],
    format: "STANDARD",
    headers: {},
    config: null,
    disableAfterExhausted: null,
    retry: { delaysMs: null, maxAttempts: null, timeoutMs: null },
    verificationMethod: "CHALLENGE",
    rateLimit: null,
    ordering: "NONE",
  };
  return useCases.webhooks.create(operator, { ...fields, organizationId, signingSecret: "" });
}

async function isActive(id: string): Promise<boolean> {
  const { webhook } = await api.useCases.webhooks.get(operator, { id, organizationId: undefined });
  return webhook.status === "ACTIVE";
}
