import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseId } from "../../src/domain/ids.ts";
import type { RecoveryScope } from "../../src/domain/recovery.ts";
import { stepRecovery } from "../../src/usecases/recovery-step.ts";
import { createRecoveryWorker } from "../../src/usecases/recovery-worker.ts";
import { startApi, type TestApi } from "../api/start-api.ts";
import { addWebhook } from "../support/engine.ts";
import { insertFinishedDeliveries, insertPastEvents, type PastEvent, scheduledIds } from "../support/event-history.ts";
import { operator } from "../support/principals.ts";
import { waitFor } from "../support/wait-for.ts";

/** Long enough ago that everything is on record. */
const agoMs = 60_000;

let api: TestApi;
let organizationId: string;
let webhookId: string;
beforeEach(async () => {
  api = await startApi();
  organizationId = parseId("organization", (await api.addOrganization()).id)!;
  webhookId = (await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", eventTypes: ["order.*"] }))
    .webhook.id;
});
afterEach(async () => {
  expect(api.backgroundFailures).toEqual([]);
  await api.close();
});

describe("what failed", () => {
  it("is due once more, with one attempt each, and nothing else is", async () => {
    const failed = await finished("EXHAUSTED", 3);
    await finished("DELIVERED", 3);
    await finished("CANCELLED", 3);
    const before = await pastEvents(2, { receivedAt: Date.now() - 2 * 60 * agoMs });
    await insertFinishedDeliveries(api.database, before, target("EXHAUSTED"));
    const { id } = await start("FAILED");
    await carryOut();
    expect(await scheduledIds(api.database, webhookId)).toEqual(failed.sort());
    expect(await stored(id)).toMatchObject({ status: "COMPLETED", examined: 3, resent: 3 });
    const rows = await query("select manual_retry, attempt_count, ordering_key from scheduled_delivery");
    expect(rows).toEqual(failed.map(() => ({ manual_retry: "ONCE", attempt_count: 10, ordering_key: null })));
    expect(await query("select status from delivery where status = 'EXHAUSTED'")).toHaveLength(2);
    expect(await query("select from lane where due_at <= now()")).toHaveLength(1);
  });

  it("whose payload is gone is counted, and stays as it is", async () => {
    const events = await pastEvents(4);
    const ids = await insertFinishedDeliveries(api.database, events, target("EXHAUSTED"));
    await query("delete from event where id = $1", [events[1]!.id]);
    const { id } = await start("FAILED");
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "COMPLETED", examined: 4, resent: 3 });
    expect(await scheduledIds(api.database, webhookId)).toEqual(ids.toSpliced(1, 1).sort());
  });

  it("in a test is not sent again", async () => {
    const events = await pastEvents(2, { audience: "TEST" });
    await insertFinishedDeliveries(api.database, events, target("EXHAUSTED"));
    await start("FAILED");
    await carryOut();
    expect(await scheduledIds(api.database, webhookId)).toEqual([]);
  });

  it("is found among thousands that arrived or were cancelled", async () => {
    await finished("CANCELLED", 3_000);
    const failed = await finished("EXHAUSTED", 1);
    await finished("DELIVERED", 3_000);
    await start("FAILED");
    await carryOut();
    expect(await scheduledIds(api.database, webhookId)).toEqual(failed);
  });
});

describe("what was never sent", () => {
  it("is what the webhook's types and projects want and no table has, and each gets its schedule", async () => {
    await query("update webhook set project_ids = '{shop}' where id = $1", [webhookId]);
    const wanted = await pastEvents(3, { projectId: "shop" });
    const known = await pastEvents(2, { projectId: "shop" });
    await insertFinishedDeliveries(api.database, known, target("DELIVERED"));
    for (const others of [
      { projectId: "other" },
      { projectId: null },
      { projectId: "shop", type: "invoice.paid" },
      { projectId: "shop", audience: "WEBHOOK" as const },
      { projectId: "shop", audience: "TEST" as const },
    ]) {
      await pastEvents(2, others);
    }
    const { id } = await start("NEVER_SENT");
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "COMPLETED", examined: 15, resent: 3 });
    const rows = await query(
      "select event_id, manual_retry, attempt_count from scheduled_delivery order by created_at",
    );
    expect(rows).toEqual(wanted.map((event) => ({ event_id: event.id, manual_retry: null, attempt_count: 0 })));
    expect(
      await query(
        "select from scheduled_delivery s join event e on e.id = s.event_id and e.received_at = s.created_at",
      ),
    ).toHaveLength(3);
  });

  it("takes in what was cancelled before its first attempt, and nothing that was tried", async () => {
    const untried = await insertFinishedDeliveries(api.database, await pastEvents(2), target("CANCELLED", 0));
    await insertFinishedDeliveries(api.database, await pastEvents(2), target("CANCELLED", 1));
    await insertFinishedDeliveries(api.database, await pastEvents(2), target("EXHAUSTED", 10));
    await start("NEVER_SENT");
    await carryOut();
    expect(await scheduledIds(api.database, webhookId)).toEqual(untried.sort());
  });

  it("events about Tellwire itself are sent to a webhook that names them, and not to one for everything", async () => {
    const everything = await addWebhook(api.database, organizationId, {
      url: "http://127.0.0.1:9/",
      eventTypes: ["*"],
    });
    const named = await addWebhook(api.database, organizationId, {
      url: "http://127.0.0.1:9/",
      eventTypes: ["webhook.*"],
    });
    await pastEvents(1, { type: "webhook.disabled" });
    for (const { webhook } of [everything, named]) await start("NEVER_SENT", { id: webhook.id });
    await carryOut();
    expect(await scheduledIds(api.database, everything.webhook.id)).toEqual([]);
    expect(await scheduledIds(api.database, named.webhook.id)).toHaveLength(1);
  });

  it("an event of this moment, which may be on its way, is waited for", async () => {
    const { id, until } = await start("NEVER_SENT", { until: undefined });
    const began = until.getTime();
    await pastEvents(1, { receivedAt: began - 10 });
    await carryOut(began);
    expect(await stored(id)).toMatchObject({
      status: "RUNNING",
      statusReason: "waits for the events of this moment to be on record",
      resent: 0,
    });
    await carryOut(began + 11_000);
    expect(await stored(id)).toMatchObject({ status: "COMPLETED", resent: 1 });
  });
});

describe("a recovery of 3,000 deliveries", () => {
  it.each<RecoveryScope>(["FAILED", "NEVER_SENT"])(
    "that is stopped in the middle is finished by another worker, with nothing left out and nothing twice (%s)",
    async (scope) => {
      const events = await pastEvents(3_000);
      if (scope === "FAILED") await insertFinishedDeliveries(api.database, events, target("EXHAUSTED"));
      const { id } = await start(scope);
      const stopped = Promise.withResolvers<void>();
      const first = createRecoveryWorker({
        ...api.dependencies,
        // Told after each step.
        changes: { ...api.dependencies.changes, lanesDue: () => stopped.resolve(first.stop()) },
      });
      first.start();
      await stopped.promise;
      expect(await stored(id)).toMatchObject({ status: "RUNNING", resent: 500 });
      expect(await scheduledIds(api.database, webhookId)).toHaveLength(500);
      const second = createRecoveryWorker(api.dependencies);
      second.start();
      await waitFor(async () => (await stored(id)).status === "COMPLETED", { what: "the end" });
      await second.stop();
      expect(await stored(id)).toMatchObject({ examined: 3_000, resent: 3_000 });
      expect(await scheduledIds(api.database, webhookId)).toHaveLength(3_000);
      expect(await query("select from delivery")).toHaveLength(0);
    },
  );

  it("by two workers at once counts and sends each once", async () => {
    await insertFinishedDeliveries(api.database, await pastEvents(3_000), target("EXHAUSTED"));
    const { id } = await start("FAILED");
    const workers = [createRecoveryWorker(api.dependencies), createRecoveryWorker(api.dependencies)];
    for (const worker of workers) worker.start();
    await waitFor(async () => (await stored(id)).status === "COMPLETED");
    for (const worker of workers) await worker.stop();
    expect(await stored(id)).toMatchObject({ examined: 3_000, resent: 3_000 });
    expect(await scheduledIds(api.database, webhookId)).toHaveLength(3_000);
  });

  it("a step that fails changes nothing", async () => {
    await insertFinishedDeliveries(api.database, await pastEvents(600), target("EXHAUSTED"));
    const { id } = await start("FAILED");
    await query("alter table lane add constraint broken check (false) not valid");
    await expect(stepRecovery(api.database.sql, Date.now())).rejects.toThrow("broken");
    expect(await stored(id)).toMatchObject({ status: "RUNNING", examined: 0, resent: 0 });
    expect(await scheduledIds(api.database, webhookId)).toEqual([]);
    expect(await query("select from delivery")).toHaveLength(600);
  });

  it("waits while 5,000 deliveries are due, and goes on when they are not", async () => {
    await query(
      `insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                   last_status_code, created_at)
                 select gen_random_uuid(), $1, $2, gen_random_uuid(), 'a', 0, now() - interval '1 s', 0, now()
                 from generate_series(1, 5000)`,
      [organizationId, webhookId],
    );
    await insertFinishedDeliveries(api.database, await pastEvents(3), target("EXHAUSTED"));
    const { id } = await start("FAILED");
    await carryOut();
    expect(await stored(id)).toMatchObject({
      status: "RUNNING",
      statusReason: expect.stringContaining("5000"),
      resent: 0,
    });
    await query("delete from scheduled_delivery");
    api.advance(1_000);
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "COMPLETED", statusReason: "", resent: 3 });
  });
});

describe("a webhook that changes meanwhile", () => {
  it("is disabled: the recovery has failed, and says why", async () => {
    await finished("EXHAUSTED", 3);
    const { id } = await start("FAILED");
    await api.useCases.webhooks.disable(operator, { id: webhookId, organizationId, reason: "" });
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "FAILED", statusReason: "the webhook was disabled", resent: 0 });
  });

  it("is deleted: so it has", async () => {
    const { id } = await start("FAILED");
    await api.useCases.webhooks.delete(operator, { id: webhookId, organizationId, etag: "" });
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "FAILED", statusReason: "the webhook was deleted" });
  });

  it("is paused: the recovery waits for it", async () => {
    await finished("EXHAUSTED", 3);
    const { id } = await start("FAILED");
    await api.useCases.webhooks.pause(operator, { id: webhookId, organizationId, reason: "" });
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "RUNNING", statusReason: "waits: the webhook is PAUSED" });
    await api.useCases.webhooks.resume(operator, { id: webhookId, organizationId });
    api.advance(5_000);
    await carryOut();
    expect(await stored(id)).toMatchObject({ status: "COMPLETED", resent: 3 });
  });
});

it("a recovery that is cancelled between two steps makes nothing more due", async () => {
  await insertFinishedDeliveries(api.database, await pastEvents(1_200), target("EXHAUSTED"));
  const { id } = await start("FAILED");
  expect(await stepRecovery(api.database.sql, now())).toBe("moved");
  await api.useCases.recoveries.cancel(operator, { id, organizationId });
  expect(await stepRecovery(api.database.sql, now())).toBe("idle");
  expect(await stored(id)).toMatchObject({ status: "CANCELLED", resent: 500 });
  expect(await scheduledIds(api.database, webhookId)).toHaveLength(500);
});

it("recoveries of several webhooks go on in turn", async () => {
  const other = await addWebhook(api.database, organizationId, { url: "http://127.0.0.1:9/", eventTypes: ["order.*"] });
  await pastEvents(1_200);
  const one = await start("NEVER_SENT");
  const two = await start("NEVER_SENT", { id: other.webhook.id });
  for (let step = 0; step < 4; step += 1) await stepRecovery(api.database.sql, now());
  expect([(await stored(one.id)).resent, (await stored(two.id)).resent]).toEqual([1_000, 1_000]);
});

function now(): number {
  return api.dependencies.ids.now();
}

function pastEvents(count: number, values: Partial<Parameters<typeof insertPastEvents>[1]> = {}): Promise<PastEvent[]> {
  return insertPastEvents(api.database, { organizationId, count, receivedAt: Date.now() - agoMs, ...values });
}

function target(status: "DELIVERED" | "EXHAUSTED" | "CANCELLED", attemptCount = 10) {
  return { organizationId, webhookId, status, attemptCount };
}

async function finished(status: "DELIVERED" | "EXHAUSTED" | "CANCELLED", count: number): Promise<string[]> {
  return await insertFinishedDeliveries(api.database, await pastEvents(count), target(status));
}

/** Without an `until` it ends long enough ago that nothing has to be waited for. */
function start(
  scope: RecoveryScope,
  {
    id = webhookId,
    ...times
  }: {
    id?: string;
    until?: Date | undefined;
  } = {},
) {
  const since = new Date(Date.now() - 60 * agoMs);
  return api.useCases.recoveries.start(operator, {
    id,
    organizationId,
    scope,
    since,
    until: new Date(Date.now() - agoMs / 2),
    ...times,
  });
}

/** Makes steps until none is due, at this time. */
async function carryOut(at = now()): Promise<void> {
  while ((await stepRecovery(api.database.sql, at)) !== "idle");
}

async function stored(id: string) {
  return await api.useCases.recoveries.get(operator, { id, organizationId });
}

async function query(text: string, parameters: unknown[] = []): Promise<Record<string, unknown>[]> {
  return await api.database.sql.query({ name: "", text }, parameters);
}
