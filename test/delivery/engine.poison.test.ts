import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import {
  addOrganization,
  addWebhook,
  attemptsOf,
  createTestEngine,
  deliveriesOf,
  newEvent,
} from "../support/engine.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;
beforeAll(async () => {
  database = await openEmbedded(undefined);
  await database.migrate();
});
afterAll(() => database.close());

test("a delivery on which our own code fails follows its webhook's schedule and ends as exhausted, and nothing else of its event or receiver waits for it", async () => {
  const receiver = await startReceiver();
  const organizationId = await addOrganization(database);
  const poisoned = await addWebhook(database, organizationId, {
    url: `${receiver.url}/poisoned`,
    retryDelaysMs: [50, 100],
    disableAfterExhausted: 1,
  });
  const healthy = await addWebhook(database, organizationId, { url: `${receiver.url}/healthy` });
  await writeFormat(poisoned.webhook.id, "OF_ANOTHER_RELEASE");
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const broken: string[] = [];
  const { engine, failures, stop } = createTestEngine({
    database,
    broker,
    limits: { failuresToOpen: 1 },
    observer: { attemptBroke: ({ task, transition }) => void broken.push(`${task.deliveryId} ${transition.status}`) },
  });
  await engine.start();

  await broker.publish([encodeEventMessage(newEvent(organizationId))]);
  const delivery = await waitFor(async () => {
    const [found] = await deliveriesOf(database, poisoned.webhook.id);
    return found?.status === "EXHAUSTED" ? found : undefined;
  });
  expect(delivery).toMatchObject({ attemptCount: 3, statusReason: "all 3 attempts failed" });
  const failed = { statusCode: 0, error: "INTERNAL", errorMessage: expect.stringMatching(/not the receiver's doing/) };
  expect(await attemptsOf(database, delivery.id)).toMatchObject([failed, failed, failed]);
  expect(broken).toEqual(["SCHEDULED", "SCHEDULED", "EXHAUSTED"].map((status) => `${delivery.id} ${status}`));
  await waitFor(async () => (await deliveriesOf(database, healthy.webhook.id))[0]?.status === "DELIVERED");
  expect(failures).toEqual([]);

  // The receiver did nothing wrong: neither is its breaker open, nor its webhook disabled.
  await writeFormat(poisoned.webhook.id, "STANDARD");
  engine.webhooksChanged(organizationId);
  await broker.publish([encodeEventMessage(newEvent(organizationId))]);
  await waitFor(() => receiver.requests.length === 3, { what: "the next event at both webhooks" });
  await stop();
  await broker.close();
  await receiver.close();
});

async function writeFormat(webhookId: string, format: string): Promise<void> {
  await database.sql.query({ name: "", text: "update webhook set format = $2 where id = $1" }, [webhookId, format]);
}
