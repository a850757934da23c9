import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeEventMessage } from "../../src/broker/event-message.ts";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import {
  addOrganization,
  addSecret,
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

test("a delivery that no stored secret can sign has a failed attempt on record that says so, and the next one arrives when the secret was rotated", async () => {
  const receiver = await startReceiver();
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: receiver.url, retryDelaysMs: [100, 60_000] });
  const secrets = { name: "", text: "update webhook_secret set sealed = $2 where webhook_id = $1" };
  await database.sql.query(secrets, [webhook.id, Buffer.from("sealed with a key that is gone")]);
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const { engine, stop } = createTestEngine({ database, broker });
  await engine.start();

  await broker.publish([encodeEventMessage(newEvent(organizationId))]);
  const delivery = await waitFor(async () => {
    const [found] = await deliveriesOf(database, webhook.id);
    return found?.attemptCount === 2 ? found : undefined;
  });
  expect(receiver.requests).toHaveLength(0);
  const failed = {
    statusCode: 0,
    error: "SECRET_UNUSABLE",
    errorMessage: expect.stringMatching(/secret cannot be decrypted: rotate the secret/),
  };
  expect(await attemptsOf(database, delivery.id)).toMatchObject([failed, failed]);

  // A rotation replaces the secret. The old one would sign for another hour, if anybody could open it.
  const replace = "update webhook_secret set expires_at = now() + interval '1 hour' where webhook_id = $1";
  await database.sql.query({ name: "", text: replace }, [webhook.id]);
  await addSecret(database, webhook.id);
  engine.webhooksChanged(organizationId);
  await broker.publish([encodeEventMessage(newEvent(organizationId))]);
  await waitFor(() => receiver.requests.length === 1);
  await stop();
  await broker.close();
  await receiver.close();
});
