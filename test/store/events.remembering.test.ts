import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { newUuid } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { createEventInserter, eventKey, rememberedSince } from "../../src/store/sql/insert-events.ts";
import { knownEvents } from "../../src/store/sql/known-events.ts";
import { newEvent, testIds } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { delivered, failed, record, run, scheduledRecord } from "./store-under-test.ts";

let database: Database;
const organizationId = randomUUID();

const hourMs = 3_600_000;
const today = Date.now() - (Date.now() % (24 * hourMs));
/** Times of the tests are given as hours since the beginning of this day (UTC). */
const at = (hours: number) => new Date(today + hours * hourMs);

withOwnDatabase({ maxConnections: 8 }, async (own) => {
  database = own;
  await ensurePartitions(database.sql, { now: today, daysBefore: 4, daysAhead: 2 });
});

/** Whether the event is new. */
const insert = async (event: ReturnType<typeof newEvent>, receivedAt: Date, publishedAt?: Date) =>
  (await createEventInserter(database.sql)([event], receivedAt, publishedAt)).known.size === 0;

describe("an event's id is remembered", () => {
  test.each([
    ["on the same day", 1, 20],
    ["over midnight", -1, 1],
    ["for a day", -11, 12.9],
    ["though the clock of the process that had it first is ahead, in the next day even", 24.01, 23.995],
  ])("%s", async (_when, first, second) => {
    const event = newEvent(organizationId);
    expect(await insert(event, at(first))).toBe(true);
    expect(await insert({ ...event, type: "order.changed" }, at(second))).toBe(false);
    const rows = await run(database, "select type from event where id = $1", [event.id]);
    expect(rows).toEqual([{ type: "order.paid" }]);
  });

  test("for as long as the broker has held the message", async () => {
    const event = newEvent(organizationId);
    expect(await insert(event, at(-70), at(-70))).toBe(true);
    expect(await insert(event, at(1), at(-70))).toBe(false);
  });

  test("no longer than that", async () => {
    const event = newEvent(organizationId);
    expect(await insert(event, at(-30))).toBe(true);
    expect(await insert(event, at(1))).toBe(true);
  });

  test("in its organization alone", async () => {
    const event = newEvent(organizationId);
    expect(await insert(event, at(-1))).toBe(true);
    const [same, other] = [event, { ...event, organizationId: randomUUID() }];
    const { known } = await createEventInserter(database.sql)([same, other], at(1));
    expect([...known]).toEqual([eventKey(same.organizationId, same.id)]);
  });

  test("by two processes that get it at the same time", async () => {
    const events = Array.from({ length: 50 }, () => newEvent(organizationId));
    const [one, other] = await Promise.all([
      createEventInserter(database.sql)(events, at(2)),
      createEventInserter(database.sql)(events, at(2.001)),
    ]);
    expect(one.known.size + other.known.size).toBe(50);
  });

  test("by two that write the same events in opposite orders, and do not wait for each other in a ring", async () => {
    for (let round = 0; round < 3; round += 1) {
      const other = randomUUID();
      const events = Array.from({ length: 1_500 }, () => newEvent(organizationId)).flatMap((event) => [
        event,
        { ...event, organizationId: other },
      ]);
      const inserted = await Promise.all(
        [events, events.toReversed()].map((each) => createEventInserter(database.sql)(each, at(2))),
      );
      expect(inserted.reduce((sum, { known }) => sum + known.size, 0)).toBe(events.length);
    }
  });

  test("by two processes that get it at the same time, one before midnight and one after it", async () => {
    const second = 1 / 3_600;
    for (let round = 0; round < 20; round += 1) {
      const events = Array.from({ length: 200 }, () => newEvent(organizationId));
      const [one, other] = await Promise.all([
        createEventInserter(database.sql)(events, at(-second)),
        createEventInserter(database.sql)(events, at(second)),
      ]);
      expect(one.known.size + other.known.size).toBe(200);
    }
  });
});

describe("an event that comes again", () => {
  test("is known as it was received, with the deliveries that are recorded in both tables", async () => {
    const event = newEvent(organizationId, { subject: "42", orderingKey: "k", externalId: "order-1" });
    const receivedAt = at(3).getTime() + 123;
    await insert(event, new Date(receivedAt));
    const target = () => ({ organizationId, webhookId: newUuid(testIds) });
    const values = { eventId: event.id, createdAt: receivedAt };
    const finished = delivered(scheduledRecord(target(), values), 1);
    const waiting = failed(scheduledRecord(target(), values), 1, 1_000);
    const anotherEvents = scheduledRecord(target(), { createdAt: receivedAt });
    await record(database, finished, waiting, anotherEvents);
    const known = await knownEvents(
      database.sql,
      [event.id, randomUUID()],
      [organizationId, organizationId],
      rememberedSince(at(4), at(4)),
    );
    expect(known).toEqual([{ event, receivedAt, deliveryIds: new Set([finished.id, waiting.id]) }]);
  });

  test("and has no deliveries yet is known without any, and without a bound on its time too", async () => {
    const event = newEvent(organizationId);
    await insert(event, at(-50));
    const known = await knownEvents(database.sql, [event.id], [organizationId]);
    expect(known).toEqual([{ event, receivedAt: at(-50).getTime(), deliveryIds: new Set() }]);
  });

  test("of an id that was forgotten and used anew, the newest is known", async () => {
    const event = newEvent(organizationId);
    await insert(event, at(-60));
    await insert(event, at(5));
    const known = await knownEvents(database.sql, [event.id], [organizationId]);
    expect(known.map(({ receivedAt }) => receivedAt)).toEqual([at(5).getTime()]);
  });

  test("under an id that two organizations use is known to each with its own deliveries", async () => {
    const other = randomUUID();
    const event = newEvent(organizationId);
    await createEventInserter(database.sql)([event, { ...event, organizationId: other }], at(6));
    const values = { eventId: event.id, createdAt: at(6).getTime() };
    const own = scheduledRecord({ organizationId, webhookId: randomUUID() }, values);
    await record(database, own, scheduledRecord({ organizationId: other, webhookId: randomUUID() }, values));
    const [known] = await knownEvents(database.sql, [event.id], [organizationId]);
    expect(known?.deliveryIds).toEqual(new Set([own.id]));
  });
});
