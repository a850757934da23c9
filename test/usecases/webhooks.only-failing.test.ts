import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createHealthWriter } from "../../src/delivery/health-writer.ts";
import { parseId, publicId } from "../../src/domain/ids.ts";
import { disableFailingWebhooks } from "../../src/store/sql/disable-failing-webhooks.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { operator } from "../support/principals.ts";
import { insertScheduledDelivery } from "../support/scheduled-delivery.ts";
import { waitFor } from "../support/wait-for.ts";

const hourMs = 60 * 60_000;
const dayMs = 24 * hourMs;
const afterMs = 5 * dayMs;

let api: TestApi;
let organizationId: string;
let webhookId: string;
let start: number;
beforeEach(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
  start = Date.now() - 10 * dayMs;
  const values = { url: "http://127.0.0.1:19999/", activeSince: new Date(start - dayMs) };
  webhookId = (await addWebhook(api.database, organizationId, values)).webhook.id;
});
afterEach(() => api.close());

describe("a webhook with nothing but failures", () => {
  it("is disabled when they have lasted long enough, with a reason, and its organization is told once", async () => {
    await attempted([start, "HTTP 500"], [start + afterMs - 1, "HTTP 502"]);
    expect(await disable(start + afterMs)).toBe(0);
    await attempted([start + afterMs, "HTTP 503"]);
    const waiting = await insertScheduledDelivery(api.database, { organizationId, webhookId });
    expect(await Promise.all([disable(start + afterMs), disable(start + afterMs)]).then(sum)).toBe(1);
    const { webhook, etag } = await stored();
    expect(webhook).toMatchObject({ status: "DISABLED" });
    expect(etag).toBe("2");
    expect(webhook.statusReason).toBe(
      `every attempt has failed since ${new Date(start).toISOString()}, for 5 days or longer; the last one: HTTP 503`,
    );
    expect(await told()).toEqual([
      {
        type: "webhook.disabled",
        organizationId,
        data: { webhook_id: publicId("webhook", webhookId), reason: webhook.statusReason },
      },
    ]);
    // The worker of the lane cancels what waits.
    expect(await query("select from lane where webhook_id = $1 and due_at <= now()", [webhookId])).toHaveLength(1);
    expect(await query("select from scheduled_delivery where id = $1", [waiting])).toHaveLength(1);
    expect(await disable(start + 2 * afterMs)).toBe(0);
  });

  it("that is idle is not disabled by one failure of long ago", async () => {
    await attempted([start, "HTTP 500"]);
    expect(await disable(Date.now())).toBe(0);
  });

  it("is not disabled where one attempt succeeded in between", async () => {
    await attempted([start, "HTTP 500"], [start + dayMs, null], [start + dayMs + 1, "HTTP 500"]);
    await attempted([start + afterMs, "HTTP 500"]);
    expect(await disable(Date.now())).toBe(0);
    const { health } = await stored();
    expect(health?.failingSince).toEqual(new Date(start + dayMs + 1));
  });

  it("that is resumed begins anew", async () => {
    await attempted([start, "HTTP 500"], [start + afterMs, "HTTP 500"]);
    await api.useCases.webhooks.pause(operator, { id: webhookId, organizationId, reason: "" });
    expect(await disable(Date.now())).toBe(0);
    await api.useCases.webhooks.resume(operator, { id: webhookId, organizationId });
    await attempted([start + afterMs + dayMs, "HTTP 500"]);
    expect(await disable(Date.now())).toBe(0);
  });

  it("is measured from when it was last switched on", async () => {
    await attempted([start, "HTTP 500"], [start + afterMs, "HTTP 500"]);
    await query("update webhook set active_since = $2::timestamptz where id = $1", [
      webhookId,
      new Date(start + 1).toISOString(),
    ]);
    expect(await disable(Date.now())).toBe(0);
  });

  it("is told of by the worker that looks for them", async () => {
    await attempted([start, ""], [start + afterMs, "HTTP 500"]);
    api.useCases.failingWebhookWorker.start();
    await waitFor(async () => (await stored()).webhook.status === "DISABLED", { what: "the worker" });
    expect(api.backgroundFailures).toEqual([]);
  });
});

describe("a webhook that recovers", () => {
  it("after ten failures in a row is told of once, with how often and since when it had failed", async () => {
    await attempted(...Array.from({ length: 9 }, (_, index): Attempted => [start + index, "HTTP 500"]));
    await attempted([start + 9, "HTTP 500"], [start + hourMs, null], [start + hourMs + 1, null]);
    await attempted([start + hourMs + 2, null]);
    expect(await told()).toEqual([
      {
        type: "webhook.recovered",
        organizationId,
        data: {
          webhook_id: publicId("webhook", webhookId),
          consecutive_failures: 10,
          failing_since: new Date(start).toISOString(),
        },
      },
    ]);
    const { health } = await stored();
    expect(health).toMatchObject({ consecutiveFailures: 0, failingSince: null, totalAttempts: 13, failedAttempts: 10 });
  });

  it("after nine is not", async () => {
    await attempted(...Array.from({ length: 9 }, (_, index): Attempted => [start + index, "HTTP 500"]));
    await attempted([start + 9, null], [start + 10, "HTTP 500"]);
    await attempted([start + 11, null]);
    expect(await told()).toEqual([]);
  });

  it("before two processes at once is told of once", async () => {
    await attempted(...Array.from({ length: 10 }, (_, index): Attempted => [start + index, "HTTP 500"]));
    await Promise.all([1, 2, 3].map((index) => attempted([start + hourMs + index, null])));
    expect(await told()).toHaveLength(1);
  });
});

/** When, and the error; null: it succeeded. */
type Attempted = readonly [at: number, error: string | null];

/** Writes attempts down as an engine does that stops after them. */
async function attempted(...attempts: readonly Attempted[]): Promise<void> {
  const failures: unknown[] = [];
  const onFailure = (error: unknown) => void failures.push(error);
  const writer = createHealthWriter({ sql: api.database.sql, intervalMs: hourMs, onFailure });
  for (const [at, error] of attempts) writer.add({ webhookId, at, error, exhausted: false });
  await writer.stop();
  expect(failures).toEqual([]);
}

function disable(now: number): Promise<number> {
  return disableFailingWebhooks(api.database.sql, { now, afterMs, limit: 100 });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((one, other) => one + other, 0);
}

async function stored() {
  return await api.useCases.webhooks.get(operator, { id: webhookId, organizationId });
}

async function told() {
  const rows = await query("select type, organization_id, data_json from operational_event order by occurred_at", []);
  return rows.map(({ type, organization_id, data_json }) => ({
    type,
    organizationId: organization_id,
    data: JSON.parse(String(data_json)),
  }));
}

async function query(text: string, parameters: unknown[]): Promise<Record<string, unknown>[]> {
  return await api.database.sql.query({ name: "", text }, parameters);
}
