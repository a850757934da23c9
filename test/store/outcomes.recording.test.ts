import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { publicId } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { rescheduleFinished } from "../../src/store/sql/move-deliveries.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import { addOrganization, attemptsOf, deliveriesOf } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  attemptOf,
  delivered,
  exhausted,
  failed,
  operationalEventsAbout,
  record,
  recordBatch,
  run,
  scheduledRecord,
} from "./store-under-test.ts";

let database: Database;
let organizationId: string;

withOwnDatabase({ maxConnections: 8 }, async (own) => {
  database = own;
  organizationId = await addOrganization(database);
});

const newDelivery = (webhookId: string = randomUUID(), values: Partial<DeliveryRecord> = {}) =>
  scheduledRecord({ organizationId, webhookId }, values);

/** Where the delivery stands: it is one row of the two tables, or none. */
async function standing({ webhookId, id }: DeliveryRecord) {
  const found = (await deliveriesOf(database, webhookId)).filter((delivery) => delivery.id === id);
  expect(found.length).toBeLessThanOrEqual(1);
  return found[0];
}

/** What somebody who cancels does. */
const cancel = (sql: Database["sql"], { id }: DeliveryRecord) =>
  sql.query(
    {
      name: "",
      text: `
        with moved as (delete from scheduled_delivery where id = $1 returning *)
        insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
                              last_status_code, created_at, completed_at)
        select id, organization_id, webhook_id, event_id, event_type, 'CANCELLED', '', attempt_count, last_status_code, created_at, now()
        from moved`,
    },
    [id],
  );

describe("what becomes of a delivery", () => {
  test("one that succeeds at once is written once, with its attempt", async () => {
    const delivery = delivered(newDelivery(), 1);
    const attempt = attemptOf(delivery);
    await recordBatch(database, { deliveries: [delivery], attempts: [attempt] });
    expect(await standing(delivery)).toMatchObject({
      status: "DELIVERED",
      attemptCount: 1,
      lastStatusCode: 200,
      createdAt: new Date(delivery.createdAt),
      completedAt: new Date(delivery.completedAt!),
    });
    expect((await attemptsOf(database, delivery.id)).map(({ id }) => id)).toEqual([attempt.id]);
  });

  test("of a batch, what was delivered at once, what had waited and what failed are each written once, with their attempts", async () => {
    const [atOnce, waited, late] = [delivered(newDelivery(), 1), delivered(newDelivery(), 1), newDelivery()];
    await record(database, {
      ...waited,
      status: "SCHEDULED",
      attemptCount: 0,
      nextAttemptAt: Date.now(),
      completedAt: null,
    });
    const deliveries = [waited, atOnce, failed(late, 1, Date.now() + 5_000)];
    const batch = { deliveries, attempts: deliveries.map(attemptOf) };
    for (let round = 0; round < 2; round++) {
      await recordBatch(database, batch);
      expect(await standing(atOnce)).toMatchObject({ status: "DELIVERED", attemptCount: 1 });
      expect(await standing(waited)).toMatchObject({ status: "DELIVERED", attemptCount: 1 });
      expect(await standing(late)).toMatchObject({ status: "SCHEDULED", attemptCount: 1 });
      for (const { id } of deliveries) expect(await attemptsOf(database, id)).toHaveLength(1);
    }
  });

  test("of a batch of which a part was written before, the other part is written", async () => {
    const deliveries = Array.from({ length: 3 }, () => delivered(newDelivery(), 1));
    const attempts = deliveries.map(attemptOf);
    await recordBatch(database, { deliveries: deliveries.slice(1, 2), attempts: attempts.slice(1, 2) });
    await recordBatch(database, { deliveries, attempts });
    for (const delivery of deliveries) {
      expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 1 });
      expect(await attemptsOf(database, delivery.id)).toHaveLength(1);
    }
  });

  test("one that fails is scheduled, and leaves that table when it is delivered", async () => {
    const delivery = newDelivery();
    const nextAttemptAt = Date.now() + 5_000;
    await record(database, failed(delivery, 1, nextAttemptAt));
    expect(await standing(delivery)).toMatchObject({ status: "SCHEDULED", nextAttemptAt: new Date(nextAttemptAt) });
    await record(database, failed(delivery, 2, nextAttemptAt + 5_000));
    expect(await standing(delivery)).toMatchObject({ attemptCount: 2, nextAttemptAt: new Date(nextAttemptAt + 5_000) });
    await record(database, delivered(delivery, 3));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 3 });
  });

  test("one that was handed over while its attempt was under way is delivered by that attempt", async () => {
    const delivery = newDelivery();
    await record(database, delivery);
    await record(database, delivered(delivery, 1));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 1 });
  });

  test("one that waits for its turn keeps its key and its sequence through its attempts", async () => {
    const delivery = newDelivery(randomUUID(), {
      nextAttemptAt: Number.POSITIVE_INFINITY,
      orderingKey: "k",
      sequence: 2 ** 40,
    });
    const row = () =>
      run(
        database,
        "select ordering_key, sequence::float8, next_attempt_at::text as at from scheduled_delivery where id = $1",
        [delivery.id],
      );
    await record(database, delivery);
    expect(await row()).toEqual([{ ordering_key: "k", sequence: 2 ** 40, at: "infinity" }]);
    await record(database, failed(delivery, 1, 1_000));
    expect(await row()).toMatchObject([{ ordering_key: "k", sequence: 2 ** 40 }]);
  });

  test("a late failure of an older attempt changes nothing, and a late success counts", async () => {
    const delivery = newDelivery();
    await record(database, failed(delivery, 2, 1_000));
    await record(database, exhausted(delivery, 1));
    expect(await standing(delivery)).toMatchObject({ status: "SCHEDULED", attemptCount: 2 });
    await record(database, failed(delivery, 1, 9_000));
    expect(await standing(delivery)).toMatchObject({ nextAttemptAt: new Date(1_000), attemptCount: 2 });
    await record(database, delivered(delivery, 1));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 2 });
  });

  test("a finished delivery keeps its word, whatever comes later, and its count goes up only", async () => {
    const delivery = newDelivery();
    await record(database, delivered(delivery, 2));
    await record(database, failed(delivery, 3, 1_000));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 3, lastStatusCode: 500 });
    await record(database, exhausted(delivery, 4));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 4 });
    await record(database, failed(delivery, 1, 1_000), newDelivery(delivery.webhookId));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 4 });
  });

  test("a success that is written a second time takes no retry away that was asked for meanwhile", async () => {
    const delivery = newDelivery();
    await record(database, delivered(delivery, 1));
    await rescheduleFinished(database.sql, { id: delivery.id, now: Date.now() });
    await record(database, delivered(delivery, 1));
    expect(await standing(delivery)).toMatchObject({ status: "SCHEDULED", manualRetry: "ONCE", attemptCount: 1 });
    await record(database, exhausted(delivery, 2));
    expect(await standing(delivery)).toMatchObject({ status: "EXHAUSTED", attemptCount: 2 });
  });

  test("an outcome does not bring a cancelled delivery back", async () => {
    const delivery = newDelivery();
    await record(database, delivery);
    await cancel(database.sql, delivery);
    await record(database, failed(delivery, 1, 1_000));
    expect(await standing(delivery)).toMatchObject({ status: "CANCELLED", nextAttemptAt: null, attemptCount: 1 });
    await record(database, delivered(delivery, 2));
    expect(await standing(delivery)).toMatchObject({ status: "CANCELLED", attemptCount: 2 });
  });

  test.each([
    ["failed", (delivery: DeliveryRecord) => failed(delivery, 1, 1_000)],
    ["succeeded", (delivery: DeliveryRecord) => delivered(delivery, 1)],
  ])("one that is being cancelled while its attempt has %s stays cancelled", async (_what, outcome) => {
    const delivery = newDelivery();
    await record(database, delivery);
    let recorded: Promise<void> | undefined;
    await database.sql.transaction(async (transaction) => {
      await cancel(transaction, delivery);
      recorded = record(database, outcome(delivery));
      await waitFor(async () => {
        const text = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
        return (await run(database, text)).length > 0;
      });
    });
    await recorded;
    expect(await standing(delivery)).toMatchObject({ status: "CANCELLED", attemptCount: 1 });
  });

  test("one that came to stand in both tables, by two processes at the same moment, leaves the one with its next outcome", async () => {
    const delivery = newDelivery();
    await record(database, delivered(delivery, 1));
    await run(
      database,
      `insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                       last_status_code, created_at)
       select id, organization_id, webhook_id, event_id, event_type, 0, now(), 0, created_at from delivery where id = $1`,
      [delivery.id],
    );
    await record(database, exhausted(delivery, 1));
    expect(await standing(delivery)).toMatchObject({ status: "DELIVERED", attemptCount: 1 });
  });

  test("two processes that record the same deliveries at once come to one word, and neither fails", async () => {
    const webhookId = randomUUID();
    const deliveries = Array.from({ length: 40 }, () => newDelivery(webhookId));
    const outcomes = [
      deliveries.map((delivery) => delivery),
      deliveries.map((delivery) => failed(delivery, 1, 1_000)).reverse(),
      deliveries.map((delivery) => failed(delivery, 2, 2_000)),
    ];
    await record(database, ...deliveries);
    await Promise.all(outcomes.map((batch) => record(database, ...batch)));
    await Promise.all(
      [2, 3].map((count) => record(database, ...deliveries.map((delivery) => delivered(delivery, count)))),
    );
    const stored = await deliveriesOf(database, webhookId);
    expect(stored.map(({ id }) => id)).toEqual(deliveries.map(({ id }) => id).sort());
    expect(stored.every(({ status, attemptCount }) => status === "DELIVERED" && attemptCount === 3)).toBe(true);
  });
});

describe("operational events", () => {
  test("a delivery that is given up is told of once, with public ids", async () => {
    const delivery = exhausted(newDelivery(), 3);
    const batch = { deliveries: [delivery], attempts: [attemptOf(delivery)] };
    await recordBatch(database, batch);
    await recordBatch(database, batch);
    const events = await operationalEventsAbout(database, publicId("delivery", delivery.id));
    expect(events).toMatchObject([{ type: "delivery.exhausted", organization_id: organizationId }]);
    expect(JSON.parse(events[0]!.data_json)).toEqual({
      delivery_id: publicId("delivery", delivery.id),
      webhook_id: publicId("webhook", delivery.webhookId),
      event_id: publicId("event", delivery.eventId),
      event_type: "order.paid",
      attempt_count: 3,
      status_reason: "all attempts failed",
    });
  });

  test("a batch that is written again after its operational event was published writes none", async () => {
    const delivery = exhausted(newDelivery(), 1);
    const batch = { deliveries: [delivery], attempts: [attemptOf(delivery)] };
    await recordBatch(database, batch);
    await run(database, "delete from operational_event");
    await recordBatch(database, batch);
    expect(await operationalEventsAbout(database, publicId("delivery", delivery.id))).toEqual([]);
  });

  test("a delivery of an operational event that is given up causes none, nor does one that was cancelled", async () => {
    const [operational, cancelled] = [newDelivery(randomUUID(), { eventType: "webhook.disabled" }), newDelivery()];
    await record(database, operational, cancelled);
    await cancel(database.sql, cancelled);
    await record(database, exhausted(operational, 1), exhausted(cancelled, 1));
    expect(await operationalEventsAbout(database, publicId("delivery", operational.id))).toEqual([]);
    expect(await operationalEventsAbout(database, publicId("delivery", cancelled.id))).toEqual([]);
  });
});

test("a batch that the database refuses leaves nothing behind", async () => {
  const delivery = delivered(newDelivery(), 1);
  const refused = { ...attemptOf(delivery), errorMessage: "\0" };
  const batch = { deliveries: [delivery], attempts: [refused], disablings: [] };
  await expect(recordOutcomes(database.sql, batch)).rejects.toThrow();
  expect(await standing(delivery)).toBeUndefined();
});

test.for([
  ["finished", (delivery: DeliveryRecord) => delivered(delivery, 1)],
  ["scheduled", (delivery: DeliveryRecord) => delivery],
] as const)(
  "two processes that write the same %s deliveries in opposite orders do not wait for each other in a ring",
  async ([, written]) => {
    for (let round = 0; round < 3; round++) {
      const webhookId = randomUUID();
      const deliveries = Array.from({ length: 3_000 }, () => written(newDelivery(webhookId)));
      const batches = [deliveries, deliveries.toReversed()].map((batch) =>
        recordOutcomes(database.sql, { deliveries: batch, attempts: [], disablings: [] }),
      );
      await Promise.all(batches);
      expect(await deliveriesOf(database, webhookId)).toHaveLength(3_000);
    }
  },
);
