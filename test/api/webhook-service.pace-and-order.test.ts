import { afterAll, beforeAll, expect, it } from "vitest";
import { WebhookImportOutcome } from "../../gen/tellwire/v1/webhook_import_pb.ts";
import { Ordering, WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { parseId } from "../../src/domain/ids.ts";
import { insertScheduledDelivery } from "../support/scheduled-delivery.ts";
import { type Clients, errorOf, startApi, type TestApi, webhookFor } from "./start-api.ts";

let api: TestApi;
let organization: { id: string; clients: Clients };
let clients: Clients;
beforeAll(async () => {
  api = await startApi();
  organization = await api.addOrganization();
  clients = organization.clients;
});
afterAll(() => api.close());

const url = "http://127.0.0.1:19999/";

it("a rate limit and an order are kept, and a period that is left out is a second", async () => {
  const rateLimit = { maxRequests: 100, period: { seconds: 60n } };
  const both = await create({ rateLimit, ordering: Ordering.BY_KEY });
  expect(both).toMatchObject({ rateLimit, ordering: Ordering.BY_KEY });
  const { webhook: read } = await clients.webhooks.getWebhook({ id: both.id });
  expect(read).toMatchObject({ rateLimit, ordering: Ordering.BY_KEY });
  const limited = await create({ rateLimit: { maxRequests: 5 } });
  expect(limited.rateLimit).toMatchObject({ maxRequests: 5, period: { seconds: 1n } });
  const plain = await create({ ordering: Ordering.NONE });
  expect([plain.rateLimit, plain.ordering]).toEqual([undefined, Ordering.UNSPECIFIED]);
});

it("an update changes what it names, and takes a limit away", async () => {
  const { id } = await create({ rateLimit: { maxRequests: 5 }, ordering: Ordering.BY_KEY });
  const { webhook: named } = await clients.webhooks.updateWebhook({
    webhook: { id, rateLimit: { maxRequests: 7, period: { seconds: 2n } } },
  });
  expect(named).toMatchObject({ rateLimit: { maxRequests: 7, period: { seconds: 2n } }, ordering: Ordering.BY_KEY });
  const { webhook: cleared } = await clients.webhooks.updateWebhook({
    webhook: { id },
    updateMask: { paths: ["rate_limit", "ordering"] },
  });
  expect([cleared?.rateLimit, cleared?.ordering]).toEqual([undefined, Ordering.UNSPECIFIED]);
});

it.each([
  [{ maxRequests: 0 }, "webhook.rate_limit.max_requests"],
  [{ maxRequests: 1_000_001 }, "webhook.rate_limit.max_requests"],
  [{ maxRequests: 1, period: { seconds: 0n, nanos: 999_999_999 } }, "webhook.rate_limit.period"],
  [{ maxRequests: 1, period: { seconds: 86_401n } }, "webhook.rate_limit.period"],
])("a rate limit of %o is refused by the name of its field", async (rateLimit, field) => {
  const created = await errorOf(clients.webhooks.createWebhook({ webhook: webhookFor(url, { rateLimit }) }));
  expect(Object.keys(created.fields)).toEqual([field]);
  const { id } = await create({});
  const updated = await errorOf(clients.webhooks.updateWebhook({ webhook: { id, rateLimit } }));
  expect(Object.keys(updated.fields)).toEqual([field]);
});

it("what waits for its turn is due when a webhook asks for no order any more, and not before", async () => {
  const { id } = await create({ ordering: Ordering.BY_KEY });
  const waiting = await waitingForItsTurn(id);
  await clients.webhooks.updateWebhook({ webhook: { id, description: "still in order" } });
  expect(await scheduled(waiting)).toMatchObject({ isDue: false, ordering_key: "a" });
  await clients.webhooks.updateWebhook({ webhook: { id }, updateMask: { paths: ["ordering"] } });
  expect(await scheduled(waiting)).toEqual({ isDue: true, ordering_key: null, sequence: null });
  const text = "select from lane where webhook_id = $1 and due_at <= now()";
  expect(await api.database.sql.query({ name: "", text }, [parseId("webhook", id)])).toHaveLength(1);
});

it("imports bring rate limit, order, and since when a webhook has failed", async () => {
  const webhook = webhookFor(url, {
    id: "0b8f7f0e-2f0a-4f4e-9a53-3d8f5d5c1a10",
    organizationId: organization.id,
    status: WebhookStatus.ACTIVE,
    signingSecret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    rateLimit: { maxRequests: 9, period: { seconds: 3n } },
    ordering: Ordering.BY_KEY,
    health: { consecutiveFailures: 3, failingSinceTime: { seconds: 1_700_000_000n } },
  });
  expect(await imported(webhook)).toBe(WebhookImportOutcome.IMPORTED);
  expect(await imported(webhook)).toBe(WebhookImportOutcome.UNCHANGED);
  const { webhook: read } = await clients.webhooks.getWebhook({ id: webhook.id });
  expect(read).toMatchObject({
    rateLimit: { maxRequests: 9, period: { seconds: 3n } },
    ordering: Ordering.BY_KEY,
    health: { failingSinceTime: { seconds: 1_700_000_000n } },
  });
  const waiting = await waitingForItsTurn(read!.id);
  expect(await imported({ ...webhook, ordering: Ordering.NONE })).toBe(WebhookImportOutcome.UPDATED);
  expect(await scheduled(waiting)).toMatchObject({ isDue: true, ordering_key: null });
});

async function create(values: Parameters<typeof webhookFor>[1]) {
  return (await clients.webhooks.createWebhook({ webhook: webhookFor(url, values) })).webhook!;
}

async function imported(webhook: ReturnType<typeof webhookFor>) {
  return (await api.operator.webhooks.importWebhooks({ imports: [{ webhook }] })).results[0]?.outcome;
}

async function waitingForItsTurn(webhookId: string): Promise<string> {
  const organizationId = parseId("organization", organization.id)!;
  const id = await insertScheduledDelivery(api.database, { organizationId, webhookId: parseId("webhook", webhookId)! });
  const text =
    "update scheduled_delivery set next_attempt_at = 'infinity', ordering_key = 'a', sequence = 7 where id = $1";
  await api.database.sql.query({ name: "", text }, [id]);
  return id;
}

async function scheduled(id: string) {
  const text = `select next_attempt_at <= now() as "isDue", ordering_key, sequence from scheduled_delivery where id = $1`;
  const [row] = await api.database.sql.query<Record<string, unknown>>({ name: "", text }, [id]);
  return row;
}
