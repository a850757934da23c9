import { afterAll, beforeAll, expect, it } from "vitest";
import type { WebhookFormat } from "../../src/domain/formats/catalogue.ts";
import { parseId } from "../../src/domain/ids.ts";
import { readDelivery } from "../../src/store/sql/stored-deliveries.ts";
import type { Principal } from "../../src/usecases/access.ts";
import type { WebhookTarget } from "../../src/usecases/webhook-record.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { operator, organizationPrincipal } from "../support/principals.ts";
import { insertScheduledDelivery } from "../support/scheduled-delivery.ts";

let api: TestApi;
let organizationId: string;
beforeAll(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
});
afterAll(() => api.close());

type Leave = (by: Principal, target: WebhookTarget) => Promise<unknown>;

const ways: [how: string, format: WebhookFormat, leave: Leave][] = [
  ["resumed", "STANDARD", (by, target) => api.useCases.webhooks.resume(by, target)],
  ["activated", "LAYER_1_0", (by, target) => api.useCases.webhooks.activate(by, target)],
  ["set to active", "LAYERS", (by, target) => api.useCases.webhooks.setStatus(by, { ...target, status: "ACTIVE" })],
  [
    "pointed at another receiver",
    "STANDARD",
    (by, target) =>
      api.useCases.webhooks.update(by, { ...target, etag: "", patch: { url: "http://127.0.0.1:19999/another" } }),
  ],
];

it.each(ways)("what waited when a webhook was disabled is not sent after it is %s", async (_how, format, leave) => {
  const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", format });
  const target = { id: webhook.id, organizationId };
  await api.useCases.webhooks.disable(operator, { ...target, reason: "off" });
  // The first attempt of one that was under way at that moment fails a little later.
  const id = await insertScheduledDelivery(api.database, { organizationId, webhookId: webhook.id });
  await leave(operator, target);
  expect(await readDelivery(api.database.sql, { id, organizationId })).toMatchObject({
    status: "CANCELLED",
    statusReason: "the webhook was disabled",
    nextAttemptAt: null,
  });
});

it.each(ways)(
  "somebody who may not see the webhook has nothing cancelled by asking for it to be %s",
  async (...way) => {
    const [, format, leave] = way;
    const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", format });
    await api.useCases.webhooks.disable(operator, { id: webhook.id, organizationId, reason: "off" });
    const id = await insertScheduledDelivery(api.database, { organizationId, webhookId: webhook.id });
    const stranger = organizationPrincipal(parseId("organization", (await api.addOrganization()).id)!);
    const kept = organizationPrincipal(organizationId, { projectId: "another" });
    for (const by of [stranger, kept]) {
      const refused = leave(by, { id: webhook.id, organizationId: undefined });
      await expect(refused).rejects.toMatchObject({ reason: "WEBHOOK_NOT_FOUND" });
      expect(await readDelivery(api.database.sql, { id, organizationId })).toMatchObject({ status: "SCHEDULED" });
    }
  },
);
