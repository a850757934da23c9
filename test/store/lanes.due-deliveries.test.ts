import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { EventRecord } from "../../src/domain/event.ts";
import type { Database } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import { dueDeliveries } from "../../src/store/sql/lanes.ts";
import { newEvent } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { record, scheduledRecord } from "./store-under-test.ts";

let database: Database;
const organizationId = randomUUID();
const now = Date.now();
const dayMs = 86_400_000;
/** Each delivery is due after the one before. */
let dueAt = now - dayMs;

withOwnDatabase({ maxConnections: 2 }, async (own) => {
  database = own;
  await ensurePartitions(database.sql, { now, daysBefore: 4, daysAhead: 1 });
});

test("payloads are read as far as they begin within the bytes, one in any case, and what is left is told of", async () => {
  const webhookId = randomUUID();
  for (const data of ["aaaaaaaa", "bbbbbbbb", "cccccccc"]) await schedule(webhookId, newEvent(organizationId), data);
  expect(await due(webhookId, 1)).toEqual({ data: ["aaaaaaaa"], isAll: false });
  expect(await due(webhookId, 10)).toEqual({ data: ["aaaaaaaa"], isAll: false });
  expect(await due(webhookId, 11)).toEqual({ data: ["aaaaaaaa", "bbbbbbbb"], isAll: false });
  expect(await due(webhookId, 21)).toEqual({ data: ["aaaaaaaa", "bbbbbbbb", "cccccccc"], isAll: true });
  expect(await due(webhookId, 1_000, 2)).toEqual({ data: ["aaaaaaaa", "bbbbbbbb"], isAll: false });
});

test("a delivery whose event is gone takes no bytes", async () => {
  const webhookId = randomUUID();
  await record(database, scheduledRecord({ organizationId, webhookId }, { createdAt: now, nextAttemptAt: 1 }));
  await schedule(webhookId, newEvent(organizationId), "a");
  expect(await due(webhookId, 1)).toEqual({ data: [null, "a"], isAll: true });
});

test.each([1, 1_000])(
  "of an id that was forgotten and used anew, both events are delivered, each with its own data, where %d bytes are read at a time",
  async (maxBytes) => {
    const webhookId = randomUUID();
    const event = newEvent(organizationId);
    const first = await schedule(webhookId, event, "a", now - 3 * dayMs);
    await schedule(webhookId, event, "b");
    const read = [await due(webhookId, maxBytes), await due(webhookId, maxBytes, 10, [first])];
    expect(read[0]?.data).toEqual(maxBytes === 1 ? ["a"] : ["a", "b"]);
    expect(read[1]).toEqual({ data: ["b"], isAll: true });
  },
);

/** A delivery that is due, of an event with this text as its data. Returns its id. */
async function schedule(webhookId: string, event: EventRecord, text: string, createdAt = now): Promise<string> {
  await createEventInserter(database.sql)([{ ...event, dataJson: JSON.stringify(text) }], new Date(createdAt));
  dueAt += 1;
  const values = { eventId: event.id, createdAt, nextAttemptAt: dueAt };
  const delivery = scheduledRecord({ organizationId, webhookId }, values);
  await record(database, delivery);
  return delivery.id;
}

async function due(webhookId: string, maxBytes: number, limit = 10, except: readonly string[] = []) {
  const range = { webhookId, now, limit, maxBytes, except };
  const { deliveries, isAll } = await dueDeliveries(database.sql, range);
  return { data: deliveries.map(({ dataJson }) => dataJson && JSON.parse(dataJson)), isAll };
}
