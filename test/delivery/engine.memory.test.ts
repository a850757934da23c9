import { afterEach, beforeEach, expect, test } from "vitest";
import { openPostgresBroker } from "../../src/broker/postgres.ts";
import { createSharedBytes } from "../../src/delivery/shared-bytes.ts";
import type { Database } from "../../src/store/database.ts";
import { createEventInserter } from "../../src/store/sql/insert-events.ts";
import type { Sql } from "../../src/store/sql.ts";
import { record, scheduledRecord } from "../store/store-under-test.ts";
import { addOrganization, addWebhook, createTestEngine, deliveriesOf, newEvent } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { startReceiver } from "../support/receiver.ts";
import { silentBrokerLog } from "../support/silent-broker-log.ts";
import { waitFor } from "../support/wait-for.ts";

let database: Database;
let organizationId: string;
const closing: (() => Promise<void>)[] = [];

withOwnDatabase({ maxConnections: 8 }, (own) => {
  database = own;
});
beforeEach(async () => {
  organizationId = await addOrganization(database);
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

test("a lane with large payloads reads as many as it may hold at a time, one in any case, and delivers all", async () => {
  const receiver = await startReceiver();
  closing.push(() => receiver.close());
  const { webhook } = await addWebhook(database, organizationId, { url: receiver.url });
  const sizes = [...Array.from({ length: 30 }, () => 200_000), 900_000, 900_000, 100];
  await scheduled(webhook.id, sizes);
  const read: number[] = [];
  const sql = watched((rows) => read.push(rows.reduce((sum, { dataJson }) => sum + (dataJson?.length ?? 0), 0)));
  await started(sql, { maxLaneBytes: 600_000 });
  await waitFor(async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status === "DELIVERED"));
  expect(receiver.requests).toHaveLength(sizes.length);
  // The last one begins within the bound.
  expect(Math.max(...read)).toBeLessThan(600_000 + 900_000);
  expect(read.filter((bytes) => bytes > 800_000).length).toBeLessThanOrEqual(2);
});

test("where other lanes hold all that may be held, a lane delivers its own none the less", async () => {
  const hanging = await startReceiver(() => "hang");
  const receiver = await startReceiver();
  closing.push(() => receiver.close());
  const { webhook: stuck } = await addWebhook(database, organizationId, { url: hanging.url });
  const { webhook } = await addWebhook(database, organizationId, { url: receiver.url });
  await scheduled(stuck.id, [300_000, 300_000, 300_000, 300_000, 300_000]);
  await started(database.sql, { maxLanesBytes: 600_000 });
  await waitFor(() => hanging.requests.length > 1);
  await scheduled(webhook.id, [400_000, 400_000, 100, 400_000]);
  await waitFor(async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status === "DELIVERED"));
  expect(receiver.requests).toHaveLength(4);
  await hanging.close();
});

test("a lane that waits for its rate limit reads no payload for which it has no room", async () => {
  const receiver = await startReceiver();
  closing.push(() => receiver.close());
  const rate = { rateLimitCount: 4, rateLimitPeriodMs: 1_000 };
  const { webhook } = await addWebhook(database, organizationId, { url: receiver.url, ...rate });
  const sizes = Array.from({ length: 6 }, () => 300_000);
  await scheduled(webhook.id, sizes);
  const rooms: number[] = [];
  const sql = watched((_rows, maxBytes) => rooms.push(maxBytes));
  await started(sql, { maxLaneBytes: 600_000 });
  await waitFor(async () => (await deliveriesOf(database, webhook.id)).every(({ status }) => status === "DELIVERED"));
  expect(receiver.requests).toHaveLength(sizes.length);
  expect(Math.min(...rooms)).toBeGreaterThan(1);
});

test("a share has its least whatever the others took, and its most however much is free", () => {
  const memory = createSharedBytes({ most: 100, least: 10, inAll: 150 });
  const [one, other] = [memory.share(), memory.share()];
  expect(one.free()).toBe(100);
  one.take(100);
  expect(one.free()).toBe(0);
  expect(other.free()).toBe(50);
  other.take(60);
  expect(other.free()).toBe(-10);
  expect(memory.share().free()).toBe(10);
  one.give(100);
  expect(other.free()).toBe(40);
});

/** Deliveries that are due, whose events have data of so many bytes. */
async function scheduled(webhookId: string, sizes: readonly number[]): Promise<void> {
  const createdAt = Date.now();
  const events = sizes.map((size) => newEvent(organizationId, { dataJson: `"${"x".repeat(size - 2)}"` }));
  await createEventInserter(database.sql)(events, new Date(createdAt));
  const target = { organizationId, webhookId };
  await record(database, ...events.map(({ id }) => scheduledRecord(target, { eventId: id, createdAt })));
}

async function started(sql: Sql, limits: { maxLaneBytes?: number; maxLanesBytes?: number }): Promise<void> {
  const broker = await openPostgresBroker(database.sql, { log: silentBrokerLog });
  const { engine, stop } = createTestEngine({ database: { ...database, sql }, broker, limits });
  closing.push(async () => {
    await stop(100).catch(() => {});
    await broker.close();
  });
  await engine.start();
}

/** The same database; the payloads that are read for lanes are watched, and how many bytes of them were asked for. */
function watched(watch: (rows: { dataJson: string | null }[], maxBytes: number) => void): Sql {
  return {
    ...database.sql,
    async query<Row>(...[statement, parameters]: Parameters<Sql["query"]>) {
      const rows = await database.sql.query<Row>(statement, parameters);
      if (statement.name === "events-of-due-deliveries") {
        watch(rows as { dataJson: string | null }[], Number(parameters[3]));
      }
      return rows;
    },
  };
}
