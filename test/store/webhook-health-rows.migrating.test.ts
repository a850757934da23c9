import { expect, it } from "vitest";
import { newWebhookHealth, WebhookHealthEntity } from "../../src/store/entities/webhook-health.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { createTestDatabase } from "../support/postgres.ts";

it("webhooks from before get their row of health, and those that have one keep it", async () => {
  const testDatabase = await createTestDatabase();
  const database = await openTestPostgres(testDatabase.url, { maxConnections: 2 });
  const organizationId = await addOrganization(database);
  const newWebhook = async () =>
    (await addWebhook(database, organizationId, { url: "https://example.com/" })).webhook.id;
  const [called, never] = [await newWebhook(), await newWebhook()];
  const em = database.em();
  await em.nativeUpdate(WebhookHealthEntity, { webhookId: called }, { totalAttempts: 7 });
  await em.nativeDelete(WebhookHealthEntity, { webhookId: never });
  const forget = "delete from tellwire_migrations where name = '2026-11-22i-webhook-health-rows'";
  await database.sql.query({ name: "", text: forget }, []);
  expect(await database.migrate()).toEqual(["2026-11-22i-webhook-health-rows"]);
  const rows = await database.em().find(WebhookHealthEntity, {}, { orderBy: { webhookId: 1 } });
  expect(rows).toEqual([{ ...newWebhookHealth(called), totalAttempts: 7 }, newWebhookHealth(never)]);
  await database.close();
  await testDatabase.drop();
});
