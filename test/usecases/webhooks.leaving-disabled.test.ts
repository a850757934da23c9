import { afterAll, beforeAll, expect, it } from "vitest";
import type { WebhookFormat } from "../../src/domain/formats/catalogue.ts";
import { parseId } from "../../src/domain/ids.ts";
import { readDelivery } from "../../src/store/sql/stored-deliveries.ts";
import type { WebhookTarget } from "../../src/usecases/webhook-record.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { operator } from "../support/principals.ts";
import { insertScheduledDelivery } from "../support/scheduled-delivery.ts";

let api: TestApi;
let organizationId: string;
beforeAll(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
});
afterAll(() => api.close());

const ways: [how: string, format: WebhookFormat, leave: (target: WebhookTarget) => Promise<unknown>][] = [
  ["resumed", "STANDARD", (target) => api.useCases.webhooks.resume(operator, target)],
  ["activated", "LAYER_1_0", (target) => api.useCases.webhooks.activate(operator, target)],
  ["set to active", "LAYERS", (target) => api.useCases.webhooks.setStatus(operator, { ...target, status: "ACTIVE" })],
  [
    "pointed at another receiver",
    "STANDARD",
    (target) =>
      api.useCases.webhooks.update(operator, { ...target, etag: "", patch: { url: "http://127.0.0.1:19999/another" } }),
  ],
];

it.each(ways)("what waited when a webhook was disabled is not sent after it is %s", async (_how, format, leave) => {
  const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", format });
  const target = { id: webhook.id, organizationId };
  await api.useCases.webhooks.disable(operator, { ...target, reason: "off" });
  // The first attempt of one that was under way at that moment fails a little later.
  const id = await insertScheduledDelivery(api.database, { organizationId, webhookId: webhook.id });
  await leave(target);
  expect(await readDelivery(api.database.sql, { id, organizationId })).toMatchObject({
    status: "CANCELLED",
    statusReason: "the webhook was disabled",
    nextAttemptAt: null,
  });
});
