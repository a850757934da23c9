import { afterAll, beforeAll, expect, it } from "vitest";
import { VerificationMethod, WebhookFormat, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { parseId } from "../../src/domain/ids.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { WebhookSecretEntity } from "../../src/store/entities/webhook-secret.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { operator } from "../support/principals.ts";
import { type DialectCall, type ServedDialect, serveDialect } from "./serve-dialect.ts";

let api: TestApi;
let verifik: ServedDialect;
beforeAll(async () => {
  api = await startApi();
  verifik = await serveDialect(api, createVerifikDialect(api.useCases, { defaultPolicy: DEFAULT_RETRY_POLICY }));
});
afterAll(async () => {
  await verifik.close();
  await api.close();
});

interface Client {
  call: DialectCall;
  /** The native API as the same organization. */
  native: Clients["webhooks"];
  /** Creates a webhook and answers with its data. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape.
  create(values?: Record<string, unknown>): Promise<any>;
}

async function newClient(): Promise<Client> {
  const { key, clients } = await api.addOrganization();
  const call: DialectCall = (method, path, options) => verifik.call(method, path, { key, ...options });
  let created = 0;
  return {
    call,
    native: clients.webhooks,
    async create(values = {}) {
      api.advance(2);
      const name = `webhook ${++created}`;
      const body = { url: "https://example.com/hook", name, isActive: true, ...values };
      const reply = await call("POST", "/v2/webhooks", { body });
      expect(reply.status).toBe(201);
      return reply.body.data;
    },
  };
}

it("what is left out on creation: every event, every project, a secret that is made", async () => {
  const { create } = await newClient();
  const first = await create();
  expect(first).toMatchObject({ events: ["*"], projectFlow: [], description: "" });
  expect(first.secret).toMatch(/^[0-9a-f]{64}$/);
  expect((await create({ events: [] })).events).toEqual(["*"]);
});

it("what the documents do not know is ignored, and what is named twice counts once", async () => {
  const { create } = await newClient();
  const created = await create({ link: ["a", "b", "a"], events: ["webhook.test", "webhook.test"], retries: 7 });
  expect(created).toMatchObject({ projectFlow: ["a", "b"], events: ["webhook.test"] });
  expect(created).not.toHaveProperty("retries");
});

it("the native API sees the webhook with its format, without its secret", async () => {
  const { create, native } = await newClient();
  const { name } = await create({ secret: "not for everybody" });
  const { webhooks } = await native.listWebhooks({});
  expect(webhooks).toMatchObject([
    {
      name,
      format: WebhookFormat.VERIFIK,
      status: WebhookStatus.ACTIVE,
      signingSecret: "",
      verification: { method: VerificationMethod.NONE },
    },
  ]);
  expect(webhooks[0]!.retryPolicy).toMatchObject({
    delays: [{ seconds: 5n }, { seconds: 5n }, { seconds: 5n }],
    timeout: { seconds: 30n },
  });
});

it("isActive decides alone: off on creation, on and off by an update", async () => {
  const { create, call, native } = await newClient();
  const { _id, isActive } = await create({ isActive: false });
  expect(isActive).toBe(false);
  const stateOf = async () => {
    const { webhook } = await native.getWebhook({ id: _id });
    return [webhook!.status, webhook!.statusReason];
  };
  const off = [WebhookStatus.DISABLED, "switched off by its owner"];
  expect(await stateOf()).toEqual(off);
  const put = async (body: unknown) => (await call("PUT", `/v2/webhooks/${_id}`, { body })).body.data;
  expect((await put({ url: "https://example.com/elsewhere" })).isActive).toBe(false);
  expect(await stateOf()).toEqual(off);
  expect((await put({ isActive: true })).isActive).toBe(true);
  expect(await stateOf()).toEqual([WebhookStatus.ACTIVE, ""]);
  expect((await put({ description: "still on" })).isActive).toBe(true);
  expect((await put({ isActive: false })).isActive).toBe(false);
  expect(await stateOf()).toEqual(off);
});

it("a webhook that the native API paused is off here, and stays paused when it is sent back as it was read", async () => {
  const { create, call, native } = await newClient();
  const { _id } = await create();
  await native.pauseWebhook({ id: _id });
  const read = (await call("GET", `/v2/webhooks/${_id}`)).body.data;
  expect(read.isActive).toBe(false);
  const { status } = await call("PUT", `/v2/webhooks/${_id}`, { body: read });
  expect(status).toBe(200);
  expect((await native.getWebhook({ id: _id })).webhook!.status).toBe(WebhookStatus.PAUSED);
  const { body } = await call("PUT", `/v2/webhooks/${_id}`, { body: { isActive: true } });
  expect(body.data.isActive).toBe(true);
});

it("a secret in an update replaces the old one at once, and is stored sealed", async () => {
  const { create, call, native } = await newClient();
  const { _id } = await create({ secret: "the old secret" });
  const { body } = await call("PUT", `/v2/webhooks/${_id}`, { body: { secret: "the new secret" } });
  expect(body.data.secret).toBe("the new secret");
  expect((await call("GET", `/v2/webhooks/${_id}`)).body.data.secret).toBe("the new secret");
  const rows = await api.database.em().find(WebhookSecretEntity, { webhookId: _id });
  expect(rows).toHaveLength(1);
  expect(Buffer.from(rows[0]!.sealed).includes("the new secret")).toBe(false);
  const rotated = await native.rotateWebhookSecret({ id: _id });
  expect((await call("GET", `/v2/webhooks/${_id}`)).body.data.secret).toBe(rotated.signingSecret);
});

it("an update without a field changes nothing", async () => {
  const { create, call } = await newClient();
  const created = await create({ link: ["a"] });
  api.advance(5_000);
  const { status, body } = await call("PUT", `/v2/webhooks/${created._id}`, { body: {} });
  expect(status).toBe(200);
  expect(body.data).toEqual({ ...created, headers: {} });
});

it("pages are as long as asked, newest first, and count what the filters leave", async () => {
  const { create, call } = await newClient();
  const names: string[] = [];
  for (const values of [{ link: ["x"] }, { isActive: false }, { link: ["x", "y"] }, { isActive: false, link: ["x"] }]) {
    names.unshift((await create(values)).name);
  }
  const list = async (query: string) => {
    const { data, pagination } = (await call("GET", `/v2/webhooks${query}`)).body;
    return [data.map(({ name }: { name: string }) => name), pagination];
  };
  expect(await list("")).toEqual([names, { page: 1, limit: 10, total: 4, pages: 1 }]);
  expect(await list("?page=1&limit=3")).toEqual([names.slice(0, 3), { page: 1, limit: 3, total: 4, pages: 2 }]);
  expect(await list("?page=2&limit=3")).toEqual([names.slice(3), { page: 2, limit: 3, total: 4, pages: 2 }]);
  expect(await list("?page=9&limit=3")).toEqual([[], { page: 9, limit: 3, total: 4, pages: 2 }]);
  expect(await list("?isActive=true")).toEqual([[names[1], names[3]], { page: 1, limit: 10, total: 2, pages: 1 }]);
  expect(await list("?isActive=false&projectFlow=x")).toEqual([[names[0]], { page: 1, limit: 10, total: 1, pages: 1 }]);
  expect(await list("?projectFlow=nobody")).toEqual([[], { page: 1, limit: 10, total: 0, pages: 0 }]);
});

it("a client sees its own webhooks of this system and no others", async () => {
  const { call, native, create } = await newClient();
  const stranger = await newClient();
  await stranger.create();
  const { webhook } = await native.createWebhook({ webhook: webhookFor("https://example.com/hook") });
  expect((await call("GET", "/v2/webhooks")).body.pagination.total).toBe(0);
  for (const method of ["GET", "PUT", "DELETE"]) {
    const reply = await call(method, `/v2/webhooks/${webhook!.id}`, method === "PUT" ? { body: { name: "x" } } : {});
    expect(reply).toMatchObject({ status: 404, body: { message: "WEBHOOK_NOT_FOUND" } });
  }
  expect((await native.getWebhook({ id: webhook!.id })).webhook!.name).toBe("");
  const { _id } = await create();
  expect((await call("GET", "/v2/webhooks")).body.data).toMatchObject([{ _id }]);
});

it("a secret that is shown once cannot be read by way of this system", async () => {
  const { native, call } = await newClient();
  const { webhook } = await native.createWebhook({ webhook: webhookFor("https://example.com/hook") });
  const id = webhook!.id;
  const refused = await errorOf(
    native.updateWebhook({ webhook: { id, format: WebhookFormat.VERIFIK }, updateMask: { paths: ["format"] } }),
  );
  expect(refused.fields).toHaveProperty(["webhook.format"]);
  expect((await call("GET", `/v2/webhooks/${id}`)).status).toBe(404);
  const target = { id: parseId("webhook", id)!, organizationId: undefined };
  await expect(api.useCases.webhooks.readSecret(operator, target)).rejects.toMatchObject({
    reason: "SECRET_NOT_SHOWN",
  });
});

it("the server's own policy is shown for a webhook that was given none", async () => {
  const { create, call, native } = await newClient();
  const { _id } = await create();
  await native.updateWebhook({ webhook: { id: _id }, updateMask: { paths: ["retry_policy"] } });
  expect((await call("GET", `/v2/webhooks/${_id}`)).body.data.retryPolicy).toEqual({
    maxRetries: DEFAULT_RETRY_POLICY.delaysMs.length,
    retryDelay: DEFAULT_RETRY_POLICY.delaysMs[0],
    timeout: DEFAULT_RETRY_POLICY.timeoutMs,
  });
});
