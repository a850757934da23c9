import { randomUUID } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VerificationMethod, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { unlimited } from "../../src/domain/limits.ts";
import { errorOf, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { serveDialect } from "../dialects/serve-dialect.ts";
import { waitFor } from "../support/wait-for.ts";

const url = "http://127.0.0.1:9999/hook";
const defaults = { ...unlimited, webhooks: 3, apiKeys: 3 };

let api: TestApi;
beforeAll(async () => {
  api = await startApi({
    limits: { defaults, failedLogins: null, onRefused: () => {}, onWrongKeys: () => {} },
  });
  await api.useCases.accessChannel.start();
});
afterAll(async () => {
  await api.useCases.accessChannel.stop();
  await api.close();
});

/** How many of the calls succeeded, and the reasons of the others. */
async function outcomes(calls: Promise<unknown>[]): Promise<{ succeeded: number; reasons: string[] }> {
  const settled = await Promise.allSettled(calls);
  const failed = calls.filter((_, index) => settled[index]?.status === "rejected");
  const reasons = await Promise.all(failed.map(async (call) => (await errorOf(call)).reason));
  return { succeeded: calls.length - failed.length, reasons };
}

test("many webhooks that are created at once are never more than the quota", async () => {
  const { clients } = await api.addOrganization();
  const calls = Array.from({ length: 12 }, () => clients.webhooks.createWebhook({ webhook: webhookFor(url) }));
  expect(await outcomes(calls)).toEqual({ succeeded: 3, reasons: Array(9).fill("QUOTA_EXCEEDED") });
  expect((await clients.webhooks.listWebhooks({})).webhooks).toHaveLength(3);
});

test("the refusal names the quota and what to do, and one that is deleted makes room for another", async () => {
  const { clients } = await api.addOrganization();
  const create = () => clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  const { webhook } = await create();
  await create();
  await create();
  const refusal = await errorOf(create());
  expect(refusal).toMatchObject({
    code: Code.ResourceExhausted,
    reason: "QUOTA_EXCEEDED",
    metadata: { quota: "webhooks", limit: "3" },
    retryDelayMs: undefined,
  });
  expect(refusal.message).toContain("delete one");
  expect(refusal.message).toContain("limits.max_webhooks");
  await clients.webhooks.deleteWebhook({ id: webhook!.id });
  await create();
});

test("an organization's own quota goes before the server's", async () => {
  const { id, clients } = await api.addOrganization();
  const create = () => clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  for (let webhooks = 0; webhooks < 3; webhooks += 1) await create();
  await api.operator.organizations.updateOrganization({ organization: { id, limits: { maxWebhooks: 4 } } });
  await waitFor(() => create().catch(() => undefined), { what: "the fourth webhook" });
  expect(await errorOf(create())).toMatchObject({ metadata: { limit: "4" } });
  const { organization } = await clients.organizations.getOrganization({ id });
  expect(organization?.limits).toMatchObject({ maxWebhooks: 4 });
  expect(organization?.limits?.maxApiKeys).toBeUndefined();
});

test("an import counts too, but for webhooks that are here already", async () => {
  const { id: organizationId } = await api.addOrganization();
  const ids = Array.from({ length: 4 }, () => randomUUID());
  const importOne = async (id: string, validateOnly = false) => {
    const webhook = webhookFor(url, {
      id,
      organizationId,
      status: WebhookStatus.PAUSED,
      verification: { method: VerificationMethod.VOUCHED },
    });
    const signingSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const { results } = await api.operator.webhooks.importWebhooks({
      imports: [{ webhook: { ...webhook, signingSecret } }],
      validateOnly,
    });
    return results[0]?.error?.message ?? "";
  };
  for (const id of ids.slice(0, 3)) expect(await importOne(id)).toBe("");
  expect(await importOne(ids[3]!)).toContain("may have 3 webhooks");
  expect(await importOne(ids[3]!, true), "a rehearsal says so").toContain("may have 3 webhooks");
  expect(await importOne(ids[0]!)).toBe("");
});

test("the APIs of other systems say it in their own form", async () => {
  const { key } = await api.addOrganization();
  const layers = await serveDialect(api, createLayersDialect(api.useCases));
  const create = () =>
    layers.call("POST", "/v1/webhook-endpoints", {
      key,
      body: { url: "https://example.com/", events: ["job.completed"] },
    });
  for (let webhooks = 0; webhooks < 3; webhooks += 1) expect((await create()).status).toBe(201);
  const refused = await create();
  await layers.close();
  expect(refused).toMatchObject({ status: 429, body: { error: { code: "RATE_LIMITED" } } });
  expect(refused.body.error.message).toContain("may have 3 webhooks");
  expect(refused.headers.get("retry-after"), "waiting a second changes nothing").toBe("3600");
});

test("keys that are created at once are never more than the quota, and those that are revoked or expired do not count", async () => {
  const { id: organizationId, clients } = await api.addOrganization();
  const create = (name: string, expiresInMs?: number) =>
    clients.organizations.createApiKey({
      organizationId,
      apiKey: {
        name,
        ...(expiresInMs === undefined
          ? {}
          : { expireTime: { seconds: BigInt(Math.ceil((Date.now() + expiresInMs) / 1000)) } }),
      },
    });
  expect(await outcomes(Array.from({ length: 8 }, (_, index) => create(`key ${index}`)))).toEqual({
    succeeded: 2,
    reasons: Array(6).fill("QUOTA_EXCEEDED"),
  });
  const { apiKeys } = await clients.organizations.listApiKeys({ organizationId });
  await clients.organizations.revokeApiKey({ organizationId, id: apiKeys[0]!.id });
  const { apiKey: short } = await create("short", 3_600_000);
  expect(await errorOf(create("another"))).toMatchObject({ metadata: { quota: "api-keys", limit: "3" } });
  const expire = "update api_key set expires_at = now() where id = ?";
  await api.database.em().execute(expire, [parseId("apiKey", short!.id)]);
  await create("another");
  expect(await errorOf(create("one more"))).toMatchObject({ metadata: { quota: "api-keys", limit: "3" } });
});
