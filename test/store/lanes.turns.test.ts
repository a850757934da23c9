import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import { cancelWaiting, claimLanes, dueDeliveries, type LaneClaim } from "../../src/store/sql/lanes.ts";
import { addOrganization, addWebhook, deliveriesOf, newEvent } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { claimLane, laneRow, record, release, run, scheduledRecord } from "./store-under-test.ts";

let database: Database;
let organizationId: string;

withOwnDatabase({ maxConnections: 8 }, async (own) => {
  database = own;
  organizationId = await addOrganization(database);
});

describe("whose lanes are claimed", () => {
  beforeEach(async () => {
    await run(database, "delete from lane");
  });

  /** Lanes of webhooks, of which the first has been due longest. */
  async function addLanes(organization: string, count: number, dueSince: number): Promise<string[]> {
    const webhookIds = Array.from({ length: count }, () => randomUUID());
    const deliveries = webhookIds.map((webhookId, index) =>
      scheduledRecord({ organizationId: organization, webhookId }, { nextAttemptAt: dueSince + index }),
    );
    await record(database, ...deliveries);
    return webhookIds;
  }

  const claim = async (values: Partial<LaneClaim>) => {
    const lanes = await claimLanes(database.sql, {
      owner: randomUUID(),
      now: Date.now(),
      limit: 100,
      leaseMs: 60_000,
      ...values,
    });
    return lanes.map(({ webhookId }) => webhookId);
  };

  test("an organization with many lanes due does not keep another's waiting", async () => {
    const [loud, quiet] = [randomUUID(), randomUUID()];
    const many = await addLanes(loud, 20, 1_000);
    const few = await addLanes(quiet, 2, 500_000);
    expect(new Set(await claim({ limit: 4 }))).toEqual(new Set([many[0], many[1], ...few]));
  });

  test("of one organization no more lanes are claimed at a time than are asked for, those longest due first", async () => {
    const many = await addLanes(randomUUID(), 10, 1_000);
    expect((await claim({ maxPerOrganization: 3 })).sort()).toEqual(many.slice(0, 3).sort());
    expect((await claim({ maxPerOrganization: 3 })).sort()).toEqual(many.slice(3, 6).sort());
  });

  test("an organization that holds enough lanes gets more only where nobody else's are due", async () => {
    const [busy, other] = [randomUUID(), randomUUID()];
    const many = await addLanes(busy, 2, 1_000);
    const few = await addLanes(other, 1, 500_000);
    expect(await claim({ busyOrganizations: [busy] })).toEqual(few);
    expect((await claim({ busyOrganizations: [busy] })).sort()).toEqual(many.sort());
    expect(await claim({ busyOrganizations: [busy] })).toEqual([]);
  });

  test("lanes whose organization is not known are claimed too", async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    await run(database, "insert into lane (webhook_id, due_at) values ($1, now()), ($2, now())", [first, second]);
    const lanes = await claim({ now: Date.now() + 1, maxPerOrganization: 1, busyOrganizations: [organizationId] });
    expect(lanes.sort()).toEqual([first, second].sort());
  });

  test("processes that claim at the same time never get the same lane", async () => {
    const webhookIds = await addLanes(randomUUID(), 60, 1_000);
    const claimed = await Promise.all(Array.from({ length: 6 }, () => claim({ limit: 20, maxPerOrganization: 20 })));
    const rest = await claim({});
    expect([...claimed.flat(), ...rest].sort()).toEqual(webhookIds.sort());
  });
});

describe("what is due in a lane", () => {
  test("comes with its event, in the order of its times, without what is under way", async () => {
    const webhookId = randomUUID();
    const now = Date.now();
    const event = newEvent(organizationId, { externalId: "order-1", source: "/shop", subject: "42" });
    await createEventInserter(database.sql)([event], new Date(now));
    const later = scheduledRecord({ organizationId, webhookId }, { createdAt: now, nextAttemptAt: 3_000 });
    const known = scheduledRecord(
      { organizationId, webhookId },
      { eventId: event.id, createdAt: now, nextAttemptAt: 2_000, attemptCount: 1, orderingKey: "k", sequence: 5 },
    );
    const waiting = scheduledRecord({ organizationId, webhookId }, { nextAttemptAt: Number.POSITIVE_INFINITY });
    await record(database, later, known, waiting);
    const { deliveries: due } = await dueDeliveries(database.sql, { webhookId, now: 4_000, limit: 10, maxBytes: 1e9 });
    expect(due.map(({ id }) => id)).toEqual([known.id, later.id]);
    expect(due[0]).toEqual({
      id: known.id,
      organizationId,
      eventId: event.id,
      eventType: "order.paid",
      attemptCount: 1,
      manualRetry: null,
      createdAt: now,
      orderingKey: "k",
      sequence: 5,
      dataJson: event.dataJson,
      externalId: "order-1",
      source: "/shop",
      subject: "42",
      replayOf: null,
      occurredAt: event.occurredAt.getTime(),
    });
    expect(due[1]).toMatchObject({ dataJson: null, occurredAt: null });
    const { deliveries: others } = await dueDeliveries(database.sql, {
      webhookId,
      now: 4_000,
      limit: 1,
      maxBytes: 1e9,
      except: [known.id],
    });
    expect(others.map(({ id }) => id)).toEqual([later.id]);
  });
});

describe("cancelling what waits", () => {
  const newWebhook = async (status: "ACTIVE" | "PAUSED" | "DISABLED") =>
    (await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/", status })).webhook.id;

  const cancel = (webhookId: string) =>
    cancelWaiting(database.sql, { webhookId, reason: "the webhook was disabled", now: Date.now() });

  test("however much waits is cancelled, and the lane is gone then", async () => {
    const webhookId = await newWebhook("DISABLED");
    const many = Array.from({ length: 2_345 }, () =>
      scheduledRecord({ organizationId, webhookId }, { attemptCount: 2 }),
    );
    await record(database, ...many);
    const lane = await claimLane(database, webhookId);
    expect(await cancel(webhookId)).toBe(2_345);
    const stored = await deliveriesOf(database, webhookId);
    expect(stored.map(({ id }) => id)).toEqual(many.map(({ id }) => id).sort());
    expect(stored[0]).toMatchObject({ statusReason: "the webhook was disabled", attemptCount: 2, nextAttemptAt: null });
    expect(stored.every(({ status, completedAt }) => status === "CANCELLED" && completedAt !== null)).toBe(true);
    expect(await release(database, lane)).toBeUndefined();
    expect(await laneRow(database, webhookId)).toBeUndefined();
  });

  test("what waits for a webhook that is deleted is cancelled", async () => {
    const webhookId = randomUUID();
    await record(database, scheduledRecord({ organizationId, webhookId }));
    expect(await cancel(webhookId)).toBe(1);
  });

  test.each(["ACTIVE", "PAUSED"] as const)("nothing is cancelled of a webhook that is %s again", async (status) => {
    const webhookId = await newWebhook(status);
    await record(database, scheduledRecord({ organizationId, webhookId }));
    expect(await cancel(webhookId)).toBe(0);
    expect(await deliveriesOf(database, webhookId)).toMatchObject([{ status: "SCHEDULED" }]);
  });

  test("nobody waits for what is being recorded: it is passed over, and its lane is due for it", async () => {
    const webhookId = await newWebhook("DISABLED");
    const [held, free] = [
      scheduledRecord({ organizationId, webhookId }),
      scheduledRecord({ organizationId, webhookId }),
    ];
    await record(database, held, free);
    const lane = await claimLane(database, webhookId);
    await database.sql.transaction(async (transaction) => {
      const lock = "select from scheduled_delivery where id = $1 for update";
      await transaction.query({ name: "", text: lock }, [held.id]);
      expect(await cancel(webhookId)).toBe(1);
    });
    expect(await release(database, lane)).toBeLessThanOrEqual(Date.now() + 1);
    expect(await cancel(webhookId)).toBe(1);
  });
});
