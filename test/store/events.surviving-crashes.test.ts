import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { flushIncarnation, type Incarnation, nameIncarnation } from "../../src/store/sql/incarnation.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import { knownEvents } from "../../src/store/sql/known-events.ts";
import { type OutcomeBatch, recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import { newEvent } from "../support/engine.ts";
import { openTestPostgres } from "../support/open-test-postgres.ts";
import { type PostgresServer, startPostgresServer } from "../support/postgres-server.ts";
import { attemptOf, delivered, exhausted, failed, laneRow, run, scheduledRecord } from "./store-under-test.ts";

const dayMs = 24 * 3_600_000;
const today = Date.now() - (Date.now() % dayMs);
const noon = today + dayMs / 2;

/** A killed process loses what it has in memory, and no more: nothing has to reach the metal. And nobody writes the log but for a commit. */
const settings = { fsync: "off", autovacuum: "off", bgwriter_lru_maxpages: "0", checkpoint_timeout: "1h" };

let server: PostgresServer;
let database: Database;
beforeAll(async () => {
  server = await startPostgresServer(settings);
  database = await openTestPostgres(server.url, { maxConnections: 8 });
  await database.migrate();
  await ensurePartitions(database.sql, { now: today, daysBefore: 1, daysAhead: 1 });
});
afterAll(async () => {
  await database?.close();
  await server?.stop();
});
beforeEach(() => nameIncarnation(database.sql));

const organizationId = randomUUID();

/** The server comes back without what was not written to the disk. */
async function crash(): Promise<void> {
  await database.close();
  await server.kill();
  await server.restart();
  database = await openTestPostgres(server.url, { maxConnections: 8 });
}

const isStored = async ({ id }: { id: string }) =>
  (await run(database, "select from event where id = $1", [id])).length > 0;

/** An event of which nothing is on the disk, in a database that has a name for its incarnation or none. */
async function insertHeld(receivedAt = noon) {
  await server.holdLog();
  const event = newEvent(organizationId);
  const { storedIn } = await createEventInserter(database.sql)([event], new Date(receivedAt));
  expect(await isStored(event)).toBe(true);
  return { event, storedIn };
}

/** Of a webhook of its own. */
function deliveryOf({ id: eventId }: { id: string }, eventIn: Incarnation | undefined): DeliveryRecord {
  return scheduledRecord({ organizationId, webhookId: randomUUID() }, { eventId, createdAt: noon, eventIn });
}

const recordAll = (batch: Partial<OutcomeBatch>) =>
  recordOutcomes(database.sql, { deliveries: [], attempts: [], disablings: [], ...batch });

const isWaiting = async ({ id }: DeliveryRecord) =>
  (await run(database, "select from scheduled_delivery where id = $1", [id])).length > 0;

describe("an event that did not wait for the disk", () => {
  test.each([
    ["at noon", noon],
    ["at midnight", today],
  ])("is lost in a crash, with the name of its incarnation: %s", async (_when, receivedAt) => {
    const name = await flushIncarnation(database.sql);
    const { event, storedIn } = await insertHeld(receivedAt);
    expect(storedIn).toBe(name);
    expect(storedIn).toEqual(expect.any(String));
    await crash();
    expect(await isStored(event)).toBe(false);
    expect(await flushIncarnation(database.sql)).toBeUndefined();
    await nameIncarnation(database.sql);
    expect(await flushIncarnation(database.sql)).not.toBe(name);
  });

  test.each(["a new name", "no name yet"])(
    "and is lost has no delivery scheduled after the crash, with %s",
    async (kind) => {
      const { event, storedIn } = await insertHeld();
      await crash();
      if (kind === "a new name") await nameIncarnation(database.sql);
      const handedOver = deliveryOf(event, storedIn);
      const toBeRetried = failed(deliveryOf(event, storedIn), 1, noon);
      const givenUp = exhausted(deliveryOf(event, storedIn), 1);
      const ordered = { ...deliveryOf(event, storedIn), orderingKey: "key", sequence: 1 };
      const refused = [handedOver, toBeRetried, givenUp, ordered];
      const arrived = delivered(deliveryOf(event, storedIn), 1);
      const safe = deliveryOf(newEvent(organizationId), undefined);
      const deliveries = [...refused, arrived, safe];
      const attempts = [toBeRetried, givenUp, arrived].map(attemptOf);
      const inDoubt = await recordAll({ deliveries, attempts });
      expect(inDoubt).toEqual(new Set([...refused, arrived].map(({ id }) => id)));
      for (const delivery of refused) {
        expect(await isWaiting(delivery)).toBe(false);
        expect(await laneRow(database, delivery.webhookId)).toBeUndefined();
        expect(await run(database, "select from delivery where id = $1", [delivery.id])).toEqual([]);
        expect(await run(database, "select from attempt where delivery_id = $1", [delivery.id])).toEqual([]);
      }
      // What was sent stays on record.
      expect(await run(database, "select from delivery where id = $1", [arrived.id])).toHaveLength(1);
      expect(await isWaiting(safe)).toBe(true);
      expect(await laneRow(database, safe.webhookId)).toBeDefined();
    },
  );

  test.each<[string, (event: { id: string }, storedIn: Incarnation | undefined) => Promise<unknown>]>([
    [
      "a delivery that arrived at once is recorded",
      async (event, storedIn) => {
        const arrived = delivered(deliveryOf(event, storedIn), 1);
        return await recordAll({ deliveries: [arrived], attempts: [attemptOf(arrived)] });
      },
    ],
    [
      "a delivery is handed to its lane",
      async (event, storedIn) => await recordAll({ deliveries: [deliveryOf(event, storedIn)] }),
    ],
    [
      "a delivery is recorded a second time, which changes nothing",
      async (event, storedIn) => {
        const arrived = delivered(deliveryOf(newEvent(organizationId), undefined), 1);
        const batch = { deliveries: [arrived], attempts: [attemptOf(arrived)] };
        // Without the wait for the disk, which would make the event safe by itself.
        await database.sql.transaction(async (transaction) => {
          await transaction.query({ name: "", text: "set local synchronous_commit to off" }, []);
          await recordOutcomes(transaction, { ...batch, disablings: [] });
        });
        const again = { ...arrived, eventId: event.id, eventIn: storedIn };
        return await recordAll({ ...batch, deliveries: [again] });
      },
    ],
    [
      "the incarnation is flushed",
      async (_event, storedIn) => {
        expect(await flushIncarnation(database.sql)).toBe(storedIn);
        return new Set();
      },
    ],
  ])("is safe when %s", async (_what, makeSafe) => {
    const { event, storedIn } = await insertHeld();
    expect(storedIn).toEqual(expect.any(String));
    expect(await makeSafe(event, storedIn)).toEqual(new Set());
    await crash();
    expect(await isStored(event)).toBe(true);
  });

  test("and comes again in the same incarnation is in doubt still, whoever wrote it", async () => {
    const { event, storedIn } = await insertHeld();
    const inserted = await createEventInserter(database.sql)([event], new Date(noon + 1));
    expect(inserted.known.size).toBe(1);
    const known = await knownEvents(database.sql, [event.id], [organizationId]);
    expect(known).toMatchObject([{ storedIn }]);
    await crash();
    expect(await isStored(event)).toBe(false);
  });
});

test("an event waits for the disk while the incarnation has no name, and is safe", async () => {
  await run(database, "delete from incarnation");
  const { event, storedIn } = await insertHeld();
  expect(storedIn).toBeUndefined();
  await crash();
  expect(await isStored(event)).toBe(true);
  expect(await knownEvents(database.sql, [event.id], [organizationId])).toMatchObject([{ storedIn: undefined }]);
});
