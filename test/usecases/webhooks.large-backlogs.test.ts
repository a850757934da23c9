import { afterAll, beforeAll, expect, it } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import { createAuditTrail } from "../../src/usecases/audit-trail.ts";
import { createTransact } from "../../src/usecases/changes.ts";
import { createResumeWebhook } from "../../src/usecases/resume-webhook.ts";
import { createClearWaiting } from "../../src/usecases/webhook-activation.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { operator } from "../support/principals.ts";
import { scheduleDeliveries } from "../support/schedule-deliveries.ts";

let api: TestApi;
let organizationId: string;
beforeAll(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
});
afterAll(() => api.close());

// Whoever records an outcome waits for the rows that such a call has locked, and with it everybody's outcomes.
it.each([
  ["disabled", (id: string) => api.useCases.webhooks.disable(operator, { id, organizationId, reason: "" })],
  ["deleted", (id: string) => api.useCases.webhooks.delete(operator, { id, organizationId, etag: "" })],
])(
  "a webhook with very much waiting is %s in a short transaction, and its lane is due for what is left",
  async (_how, end) => {
    const webhookId = await webhookWithWaiting(1_500);
    await end(webhookId);
    expect(await waitingOf(webhookId)).toBe(500);
    expect(await isLaneDue(webhookId)).toBe(true);
  },
);

it("what still waits for a disabled webhook is cancelled before the transaction that resumes it", async () => {
  const webhookId = await webhookWithWaiting(2_500, "DISABLED");
  const transact = createTransact(api.database, api.dependencies.changes);
  const left: number[] = [];
  const resume = createResumeWebhook({
    now: Date.now,
    audit: createAuditTrail(api.dependencies.ids),
    clearWaiting: createClearWaiting({ database: api.database, now: Date.now }),
    async transact(work) {
      left.push(await waitingOf(webhookId));
      return await transact(work);
    },
  });
  await resume(operator, { id: webhookId, organizationId });
  expect(left).toEqual([0]);
});

it("what waits for a paused webhook is not touched by resuming it", async () => {
  const webhookId = await webhookWithWaiting(3, "PAUSED");
  await api.useCases.webhooks.resume(operator, { id: webhookId, organizationId });
  expect(await waitingOf(webhookId)).toBe(3);
});

async function webhookWithWaiting(count: number, status: "ACTIVE" | "PAUSED" | "DISABLED" = "ACTIVE"): Promise<string> {
  const { webhook } = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", status });
  const times = Array.from({ length: count }, () => Date.now());
  await scheduleDeliveries(api.database, { organizationId, webhookId: webhook.id }, times);
  return webhook.id;
}

async function waitingOf(webhookId: string): Promise<number> {
  const text = "select count(*)::int as waiting from scheduled_delivery where webhook_id = $1";
  const [row] = await api.database.sql.query<{ waiting: number }>({ name: "", text }, [webhookId]);
  return row!.waiting;
}

async function isLaneDue(webhookId: string): Promise<boolean> {
  const text = "select from lane where webhook_id = $1 and due_at <= now()";
  return (await api.database.sql.query({ name: "", text }, [webhookId])).length === 1;
}
