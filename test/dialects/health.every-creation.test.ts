import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebhookImportOutcome } from "../../gen/tellwire/v1/webhook_import_pb.ts";
import { WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import { createServedDialects } from "../../src/served-dialects.ts";
import { WebhookEntity } from "../../src/store/entities/webhook.ts";
import { newWebhookHealth, type WebhookHealth, WebhookHealthEntity } from "../../src/store/entities/webhook-health.ts";
import { type Clients, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { type ServedDialect, serveDialect } from "./serve-dialect.ts";

const url = "http://127.0.0.1:19999/hook";

/** How a webhook is created by each dialect, and its id in the answer. */
const creations: Readonly<Record<string, (application: string) => DialectCreation>> = {
  layer: (application) => ({
    path: `/apps/${application}/webhooks`,
    bodies: [{ target_url: url, event_types: ["user.registered"], secret: "1697f925ec7b1697f925ec7b" }],
  }),
  verifik: () => ({
    path: "/v2/webhooks",
    bodies: [true, false].map((isActive) => ({ url, name: randomUUID(), isActive })),
  }),
  layers: () => ({ path: "/v1/webhook-endpoints", bodies: [{ url, events: ["job.completed"] }] }),
};

interface DialectCreation {
  path: string;
  bodies: readonly unknown[];
}

let api: TestApi;
let organization: { id: string; key: string; clients: Clients };
const served = new Map<string, ServedDialect>();

beforeAll(async () => {
  api = await startApi();
  organization = await api.addOrganization();
  const options = { publicUrl: undefined, tls: undefined, defaultPolicy: DEFAULT_RETRY_POLICY };
  for (const dialect of createServedDialects(api.useCases, options)) {
    served.set(dialect.name, await serveDialect(api, dialect));
  }
});
afterAll(async () => {
  for (const each of served.values()) await each.close();
  await api.close();
});

it("a webhook that is created has its row of health, of which nobody reads anything before it is called", async () => {
  const { webhook } = await organization.clients.webhooks.createWebhook({ webhook: webhookFor(url) });
  expect(webhook).not.toHaveProperty("health");
  const { webhooks } = await organization.clients.webhooks.listWebhooks({});
  expect(webhooks.find(({ id }) => id === webhook!.id)).not.toHaveProperty("health");
  const webhookId = parseId("webhook", webhook!.id)!;
  expect(await healthOf(webhookId)).toEqual(newWebhookHealth(webhookId));
});

it("so has one that is imported, with what was known of it where it was", async () => {
  const [known, unknown] = [randomUUID(), randomUUID()];
  const moved = {
    organizationId: organization.id,
    status: WebhookStatus.ACTIVE,
    signingSecret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  };
  const { results } = await api.operator.webhooks.importWebhooks({
    imports: [
      { webhook: webhookFor(url, { ...moved, id: known, health: { totalAttempts: 7n } }) },
      { webhook: webhookFor(url, { ...moved, id: unknown }) },
    ],
  });
  expect(results.map(({ outcome }) => outcome)).toEqual([1, 2].map(() => WebhookImportOutcome.IMPORTED));
  expect(await healthOf(known)).toEqual({ ...newWebhookHealth(known), totalAttempts: 7 });
  expect(await healthOf(unknown)).toEqual(newWebhookHealth(unknown));
});

it("and so have those of every dialect", async () => {
  expect([...served.keys()].sort()).toEqual(Object.keys(creations).sort());
  for (const [name, creation] of Object.entries(creations)) {
    const before = await webhooksAndRows();
    const { path, bodies } = creation(parseId("organization", organization.id)!);
    for (const body of bodies) {
      const { key } = organization;
      const { status } = await served.get(name)!.call("POST", path, { key, headers: { "x-api-key": key }, body });
      expect(status, name).toBe(201);
    }
    const made = before.webhooks + bodies.length;
    expect(await webhooksAndRows(), name).toEqual({ webhooks: made, rows: made });
  }
});

it("a creation or an import that is not committed leaves neither", async () => {
  const before = await webhooksAndRows();
  await refuseAtCommit(async () => {
    const created = organization.clients.webhooks.createWebhook({ webhook: webhookFor(url) });
    await expect(created).rejects.toThrow();
    const body = { url, events: ["job.completed"] };
    const headers = { "x-api-key": organization.key };
    expect((await served.get("layers")!.call("POST", "/v1/webhook-endpoints", { headers, body })).status).toBe(500);
  });
  const { id: organizationId } = organization;
  const signingSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const values = { id: randomUUID(), organizationId, status: WebhookStatus.ACTIVE, signingSecret };
  const imports = [{ webhook: webhookFor(url, values) }];
  const { results } = await api.operator.webhooks.importWebhooks({ imports, validateOnly: true });
  expect(results.map(({ outcome }) => outcome)).toEqual([WebhookImportOutcome.IMPORTED]);
  expect(await webhooksAndRows()).toEqual(before);
});

function healthOf(webhookId: string): Promise<WebhookHealth | null> {
  return api.database.em().findOne(WebhookHealthEntity, { webhookId });
}

async function webhooksAndRows(): Promise<{ webhooks: number; rows: number }> {
  const em = api.database.em();
  return { webhooks: await em.count(WebhookEntity), rows: await em.count(WebhookHealthEntity) };
}

/** While the work runs, a transaction that inserts a webhook fails at its very end. */
async function refuseAtCommit(work: () => Promise<void>): Promise<void> {
  const run = (text: string) => api.database.sql.query({ name: "", text }, []);
  await run(
    "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused at commit'; end $$",
  );
  await run(
    "create constraint trigger refused after insert on webhook deferrable initially deferred for each row execute function refuse()",
  );
  await work().finally(() => run("drop trigger refused on webhook"));
}
