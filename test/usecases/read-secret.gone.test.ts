import { afterAll, beforeAll, expect, test } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { operator } from "../support/principals.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

test("a webhook that is deleted while its secret is read is not found", async () => {
  const organizationId = parseId("organization", (await api.addOrganization()).id)!;
  const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", format: "VERIFIK" });
  const target = { id: webhook.id, organizationId };
  // As it stands between the two reads: the secrets went first.
  await api.database.sql.query({ name: "", text: "delete from webhook_secret where webhook_id = $1" }, [webhook.id]);
  await expect(api.useCases.webhooks.readSecret(operator, target)).rejects.toMatchObject({
    reason: "WEBHOOK_NOT_FOUND",
  });
});
