import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, openEmbedded } from "../../src/store/database.ts";
import { analyzeGrownTables } from "../../src/store/sql/analyze-grown-tables.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import { knownEvents } from "../../src/store/sql/known-events.ts";
import { cancelWaiting, dueDeliveries } from "../../src/store/sql/lanes.ts";
import { addOrganization, addWebhook, attemptsOf, deliveriesOf, newEvent } from "../support/engine.ts";
import {
  attemptOf,
  claimLane,
  delivered,
  exhausted,
  failed,
  record,
  recordBatch,
  release,
  run,
  scheduledRecord,
} from "./store-under-test.ts";

let database: Database;
let target: { organizationId: string; webhookId: string };

beforeAll(async () => {
  database = await openEmbedded(undefined);
  await database.migrate();
  const organizationId = await addOrganization(database);
  const { webhook } = await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/" });
  target = { organizationId, webhookId: webhook.id };
});
afterAll(() => database.close());

test("the embedded database takes an event through all of its states", async () => {
  const receivedAt = Date.now();
  const event = newEvent(target.organizationId);
  expect((await createEventInserter(database.sql)([event], new Date(receivedAt))).known.size).toBe(0);
  expect((await createEventInserter(database.sql)([event], new Date(receivedAt))).known.size).toBe(1);
  const delivery = scheduledRecord(target, { eventId: event.id, createdAt: receivedAt, orderingKey: "k", sequence: 1 });
  await record(database, { ...delivery, nextAttemptAt: Number.POSITIVE_INFINITY });
  await recordBatch(database, { deliveries: [failed(delivery, 1, receivedAt)], attempts: [attemptOf(delivery)] });
  const lane = await claimLane(database, target.webhookId);
  expect(lane).toMatchObject({ organizationId: target.organizationId, openUntil: null, hasOrdered: true });
  const {
    deliveries: [due],
  } = await dueDeliveries(database.sql, { webhookId: target.webhookId, now: Date.now(), limit: 10, maxBytes: 1e9 });
  expect(due).toMatchObject({ id: delivery.id, dataJson: event.dataJson, createdAt: receivedAt, sequence: 1 });
  await record(database, delivered(delivery, 2));
  expect(await release(database, lane)).toBeUndefined();
  expect(await deliveriesOf(database, target.webhookId)).toMatchObject([{ status: "DELIVERED", attemptCount: 2 }]);
  const [known] = await knownEvents(database.sql, [event.id], [target.organizationId]);
  expect(known).toEqual({ event, receivedAt, deliveryIds: new Set([delivery.id]) });
});

test("the embedded database takes what is given up, disabled and cancelled", async () => {
  const [given, waiting] = [scheduledRecord(target), scheduledRecord(target)];
  await record(database, waiting);
  const last = exhausted(given, 1);
  await recordBatch(database, {
    deliveries: [last],
    attempts: [attemptOf(last)],
    disablings: [{ ...target, reason: "gone", afterExhausted: 1 }],
  });
  const types = await run(database, "select type from operational_event order by type");
  expect(types).toEqual([{ type: "delivery.exhausted" }, { type: "webhook.disabled" }]);
  const cancelled = { webhookId: target.webhookId, reason: "the webhook was disabled", now: Date.now() };
  expect(await cancelWaiting(database.sql, cancelled)).toBe(1);
  expect(await cancelWaiting(database.sql, { ...cancelled, webhookId: randomUUID() })).toBe(0);
});

test("the embedded database takes a batch again of which a part was written", async () => {
  const deliveries = [delivered(scheduledRecord(target), 1), delivered(scheduledRecord(target), 1)];
  const attempts = deliveries.map(attemptOf);
  await recordBatch(database, { deliveries: deliveries.slice(1), attempts: attempts.slice(1) });
  await recordBatch(database, { deliveries, attempts });
  const ids = deliveries.map(({ id }) => id);
  for (const id of ids) expect(await attemptsOf(database, id)).toHaveLength(1);
  const written = (await deliveriesOf(database, target.webhookId)).filter(({ id }) => ids.includes(id));
  expect(written).toHaveLength(2);
});

test("the embedded database can be asked which tables have grown", async () => {
  expect(await analyzeGrownTables(database.sql)).toEqual([]);
});
