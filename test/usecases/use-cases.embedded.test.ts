import { afterAll, beforeAll, expect, it } from "vitest";
import { DeliveryStatus } from "../../gen/tellwire/v1/delivery_pb.ts";
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
