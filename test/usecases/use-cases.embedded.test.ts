import { afterAll, beforeAll, expect, it } from "vitest";
import { DeliveryStatus } from "../../gen/tellwire/v1/delivery_pb.ts";
import { WebhookImportOutcome } from "../../gen/tellwire/v1/webhook_import_pb.ts";
import { WebhookStatus } from "../../gen/tellwire/v1/webhook_pb.ts";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { errorOf, startApi, type TestApi, webhookFor } from "../api/start-api.ts";
import { echoChallenge, type Receiver, startReceiver } from "../support/receiver.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;
let api: TestApi;
let receiver: Receiver;
beforeAll(async () => {
  database = await openEmbedded(undefined);
  await database.migrate();
  api = await startApi({ database });
  receiver = await startReceiver(echoChallenge);
});
afterAll(async () => {
  await api.close();
  await database.close();
  await receiver.close();
});

it("the use cases do the same on the embedded database", async () => {
  api.useCases.verificationWorker.start();
  const { clients } = await api.addOrganization();
  const created = await Promise.all(
    ["a", "b", "c"].map((name) => clients.webhooks.createWebhook({ webhook: webhookFor(receiver.url, { name }) })),
  );
  const ids = created.map(({ webhook }) => webhook!.id);
  await waitFor(async () => {
    const { webhooks } = await clients.webhooks.listWebhooks({ statuses: [WebhookStatus.ACTIVE] });
    return webhooks.length === 3;
  });
  const id = ids[0]!;
  const taken = await errorOf(clients.webhooks.createWebhook({ webhook: webhookFor(receiver.url, { name: "a" }) }));
  expect(taken.reason).toBe("WEBHOOK_NAME_TAKEN");

  await clients.webhooks.rotateWebhookSecret({ id });
  const tests = [];
  for (let count = 0; count < 3; count += 1) tests.push(await clients.webhooks.testWebhook({ id }));
  expect(receiver.requests.at(-1)?.headers["webhook-signature"]?.toString().split(" ")).toHaveLength(2);
  const first = await clients.deliveries.listDeliveries({ pageSize: 2, statuses: [DeliveryStatus.DELIVERED] });
  const rest = await clients.deliveries.listDeliveries({
    pageSize: 2,
    statuses: [DeliveryStatus.DELIVERED],
    pageToken: first.nextPageToken,
  });
  const listed = [...first.deliveries, ...rest.deliveries].map((delivery) => delivery.id);
  expect(listed.sort()).toEqual(tests.map(({ deliveryId }) => deliveryId).sort());
  expect((await clients.events.listEvents({ pageSize: 2 })).events).toHaveLength(2);

  const [deliveryId = ""] = listed;
  const retried = await clients.deliveries.retryDelivery({ id: deliveryId });
  expect(retried.delivery?.status).toBe(DeliveryStatus.SCHEDULED);
  await clients.webhooks.pauseWebhook({ id });
  await clients.webhooks.resumeWebhook({ id });
  await clients.webhooks.deleteWebhook({ id });
  const { delivery } = await clients.deliveries.getDelivery({ id: deliveryId });
  expect(delivery).toMatchObject({ status: DeliveryStatus.CANCELLED, statusReason: "the webhook was deleted" });
  expect(delivery?.attempts).toHaveLength(1);
  expect(api.serverFailures).toEqual([]);
  expect(api.backgroundFailures).toEqual([]);
});

it("idempotency keys and imports do the same on the embedded database", async () => {
  const { clients, id: organizationId, key } = await api.addOrganization();
  const withKey = api.clients({ "x-api-key": key, "idempotency-key": "once" });
  const request = { webhook: webhookFor(receiver.url) };
  const answers = await Promise.all([1, 2, 3].map(() => withKey.webhooks.createWebhook(request)));
  expect(new Set(answers.map(({ signingSecret }) => signingSecret)).size).toBe(1);
  expect((await clients.webhooks.listWebhooks({})).webhooks).toHaveLength(1);
  await api.useCases.idempotencyCleaner.clean();

  const webhook = webhookFor(receiver.url, {
    id: "0b8f7f0e-2f0a-4f4e-9a53-3d8f5d5c1a10",
    organizationId,
    status: WebhookStatus.ACTIVE,
    signingSecret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    headers: { b: "1", a: "2" },
    updateTime: { seconds: 1_700_000_000n, nanos: 123_000_000 },
  });
  const outcomes = [];
  for (const validateOnly of [true, false, false]) {
    const { results } = await api.operator.webhooks.importWebhooks({ imports: [{ webhook }], validateOnly });
    outcomes.push(results[0]?.outcome);
  }
  expect(outcomes).toEqual([
    WebhookImportOutcome.IMPORTED,
    WebhookImportOutcome.IMPORTED,
    WebhookImportOutcome.UNCHANGED,
  ]);
  expect(api.backgroundFailures).toEqual([]);
});

it("a change of a webhook's projects does not wait for a second connection, which the embedded database has not", async () => {
  const { clients, id: organizationId } = await api.addOrganization();
  await api.operator.organizations.updateOrganization({
    organization: { id: organizationId, projectIds: ["p1", "p2"] },
  });
  const { webhook } = await clients.webhooks.createWebhook({
    webhook: webhookFor(receiver.url, { projectIds: ["p1"] }),
  });
  const { id } = webhook!;
  const changed = await clients.webhooks.updateWebhook({ webhook: { id, projectIds: ["p2"] } });
  expect(changed.webhook?.projectIds).toEqual(["p2"]);
  const refused = await errorOf(clients.webhooks.updateWebhook({ webhook: { id, projectIds: ["p3"] } }));
  expect(refused.reason).toBe("PROJECT_NOT_FOUND");
});
