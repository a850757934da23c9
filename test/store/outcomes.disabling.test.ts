import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { publicId } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import type { Sql } from "../../src/store/sql.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";
import {
  attemptOf,
  delivered,
  exhausted,
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

const newWebhook = async () => (await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" })).webhook.id;

const newDelivery = (webhookId: string = randomUUID(), values: Partial<DeliveryRecord> = {}) =>
  scheduledRecord({ organizationId, webhookId }, values);

const gone = (delivery: DeliveryRecord) => ({
  deliveries: [delivery],
  attempts: [attemptOf(delivery)],
  disablings: [{ webhookId: delivery.webhookId, organizationId, reason: "the receiver is gone", afterExhausted: 0 }],
});
const statusOf = async (webhookId: string) => {
  const [row] = await run<{ status: string }>(database, "select status from webhook where id = $1", [webhookId]);
  return row?.status;
};

test("a webhook whose receiver is gone is disabled, told of and audited, and its lane is due", async () => {
  const webhookId = await newWebhook();
  await record(database, newDelivery(webhookId, { nextAttemptAt: Date.now() + 3_600_000 }));
  await recordBatch(database, gone(exhausted(newDelivery(webhookId), 1)));
  expect(await statusOf(webhookId)).toBe("DISABLED");
  const told = (await operationalEventsAbout(database, publicId("webhook", webhookId))).filter(
    ({ type }) => type === "webhook.disabled",
  );
  expect(told.map(({ data_json }) => JSON.parse(data_json))).toEqual([
    { webhook_id: publicId("webhook", webhookId), reason: "the receiver is gone" },
  ]);
  const audited = "select actor_kind, actor_id, action, after from audit_entry where resource_id = $1";
  const after = { status: "DISABLED", statusReason: "the receiver is gone" };
  expect(await run(database, audited, [webhookId])).toEqual([
    { actor_kind: "SYSTEM", actor_id: "delivery-engine", action: "webhook.disable", after },
  ]);
  const due = "select from lane where webhook_id = $1 and due_at <= now()";
  expect(await run(database, due, [webhookId])).toHaveLength(1);
});

test("a 410 that is written a second time does not disable a webhook that was resumed in between", async () => {
  const webhookId = await newWebhook();
  const batch = gone(exhausted(newDelivery(webhookId), 1));
  await recordBatch(database, batch);
  await run(database, "update webhook set status = 'ACTIVE' where id = $1", [webhookId]);
  await recordBatch(database, batch);
  expect(await statusOf(webhookId)).toBe("ACTIVE");
});

test("a webhook of which very many deliveries are given up at once is looked at once, and a receiver that is gone counts", async () => {
  const webhookId = await newWebhook();
  const many = Array.from({ length: 100 }, () => exhausted(newDelivery(webhookId), 1));
  const disablings = many.map((_, index) => ({
    webhookId,
    organizationId,
    reason: index === 50 ? "the receiver is gone" : "a thousand were given up",
    afterExhausted: index === 50 ? 0 : 1_000,
  }));
  let looks = 0;
  const watch = (sql: Sql): Sql => ({
    ...sql,
    query(statement, parameters) {
      looks += statement.name === "disable-webhook" ? 1 : 0;
      return sql.query(statement, parameters);
    },
    transaction: (work) => sql.transaction((transaction) => work(watch(transaction))),
  });
  await recordOutcomes(watch(database.sql), { deliveries: many, attempts: many.map(attemptOf), disablings });
  expect(looks).toBe(1);
  expect(await statusOf(webhookId)).toBe("DISABLED");
});

test("a webhook that an operational event's delivery disables is not told of", async () => {
  const webhookId = await newWebhook();
  await recordBatch(database, gone(exhausted(newDelivery(webhookId, { eventType: "delivery.exhausted" }), 1)));
  expect(await statusOf(webhookId)).toBe("DISABLED");
  expect(await operationalEventsAbout(database, publicId("webhook", webhookId))).toEqual([]);
});

test("only as many exhausted deliveries in a row as the webhook says disable it, in the order of their events", async () => {
  const webhookId = await newWebhook();
  const now = Date.now();
  // Received in this order, whatever their ids are made of otherwise.
  const [first, second, third] = [0, 1, 2].map((age) => newDelivery(webhookId, { createdAt: now + age })) as [
    DeliveryRecord,
    DeliveryRecord,
    DeliveryRecord,
  ];
  const afterTwo = (delivery: DeliveryRecord) => ({
    ...gone(delivery),
    disablings: [{ webhookId, organizationId, reason: "two were given up", afterExhausted: 2 }],
  });
  await recordBatch(database, afterTwo(exhausted(first, 1)));
  await record(database, delivered(second, 1));
  await recordBatch(database, afterTwo(exhausted(third, 1)));
  expect(await statusOf(webhookId)).toBe("ACTIVE");
  await recordBatch(database, afterTwo(exhausted(newDelivery(webhookId, { createdAt: now + 3 }), 1)));
  expect(await statusOf(webhookId)).toBe("DISABLED");
});

test("of two that are given up in two transactions at once, each sees the other", async () => {
  const webhookId = await newWebhook();
  const disablings = [{ webhookId, organizationId, reason: "two were given up", afterExhausted: 2 }];
  const [one, other] = [1, 2].map(() => exhausted(newDelivery(webhookId), 1)) as [DeliveryRecord, DeliveryRecord];
  const batchOf = (delivery: DeliveryRecord) => ({
    deliveries: [delivery],
    attempts: [attemptOf(delivery)],
    disablings,
  });
  const looked = Promise.withResolvers<void>();
  const maySettle = Promise.withResolvers<void>();
  const pausing = (sql: Sql): Sql => ({
    ...sql,
    async query(statement, parameters) {
      const rows = await sql.query<never>(statement, parameters);
      if (statement.name === "disable-webhook") {
        looked.resolve();
        await maySettle.promise;
      }
      return rows;
    },
    transaction: (work) => sql.transaction((transaction) => work(pausing(transaction))),
  });
  const first = recordOutcomes(pausing(database.sql), batchOf(one));
  await looked.promise;
  let isSecondOver = false;
  const second = recordOutcomes(database.sql, batchOf(other)).then(() => {
    isSecondOver = true;
  });
  const waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await waitFor(async () => isSecondOver || (await run(database, waits)).length > 0);
  maySettle.resolve();
  await Promise.all([first, second]);
  expect(await statusOf(webhookId)).toBe("DISABLED");
});
