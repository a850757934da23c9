import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { newUuid } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import { type DroppedPartitions, dropExpired } from "../../src/store/drop-expired.ts";
import { ensurePartitions } from "../../src/store/partitions.ts";
import { createRetentionWorker } from "../../src/store/retention-worker.ts";
import { storedAttempts } from "../../src/store/sql/stored-attempts.ts";
import { insertHistory, partitionsOf } from "./history.ts";

export const dayMs = 24 * 60 * 60_000;
export const retention = { payloadRetentionMs: 3 * dayMs, recordRetentionMs: 10 * dayMs };

/** What holds of retention on a Postgres server and in the embedded one. Each test is at a day of its own, later than those of the tests before. */
export function itKeepsWhatIsWanted(open: () => Promise<{ database: Database; close(): Promise<void> }>): void {
  let database: Database;
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ database, close } = await open());
  });
  afterAll(() => close());

  const drop = async (now: number): Promise<DroppedPartitions> =>
    (await database.exclusively(1, (session) => dropExpired(session, { now, ...retention })))!;

  it("there are partitions for yesterday and for the days to come", async () => {
    for (const ahead of [-1, 0, 1, 6]) {
      const day = new Date(Date.now() + ahead * dayMs).toISOString().slice(0, 10).replaceAll("-", "");
      expect(await partitionsOf(database.sql, day)).toEqual([`attempt_${day}`, `delivery_${day}`, `event_${day}`]);
    }
  });

  it("a day past its retention disappears whole, payloads before records", async () => {
    const day = Date.UTC(2020, 0, 10);
    await ensurePartitions(database.sql, { now: day, daysBefore: 0, daysAhead: 1 });
    await insertHistory(database.sql, { day, webhooks: 1, events: 5 });

    expect(await drop(day + dayMs + retention.payloadRetentionMs - 1)).toEqual({ dropped: [], postponed: [] });
    expect(await drop(day + dayMs + retention.payloadRetentionMs)).toMatchObject({ dropped: ["event_20200110"] });
    expect(await partitionsOf(database.sql, "20200110")).toEqual(["attempt_20200110", "delivery_20200110"]);
    expect(await drop(day + dayMs + retention.recordRetentionMs)).toMatchObject({
      dropped: ["delivery_20200110", "attempt_20200110", "event_20200111"],
    });
    expect(await partitionsOf(database.sql, "20200110")).toEqual([]);
    expect(await partitionsOf(database.sql, "20200111")).toEqual(["attempt_20200111", "delivery_20200111"]);
  });

  it("a day with something that is still to be sent keeps its events and its deliveries until that is done", async () => {
    const day = Date.UTC(2021, 0, 10);
    await drop(day);
    await ensurePartitions(database.sql, { now: day, daysBefore: 1, daysAhead: 1 });
    const [scheduled, ...finished] = await insertHistory(database.sql, { day, webhooks: 1, events: 5, scheduled: 1 });
    expect(await countAttempts(database, finished)).toBe(4);

    const late = day + 100 * dayMs;
    const { dropped } = await drop(late);
    expect(dropped).toEqual([
      ...["event_20210109", "delivery_20210109", "attempt_20210109", "attempt_20210110"],
      ...["event_20210111", "delivery_20210111", "attempt_20210111"],
    ]);
    expect(await partitionsOf(database.sql, "20210110")).toEqual(["delivery_20210110", "event_20210110"]);
    expect(await countAttempts(database, finished)).toBe(0);

    await database.sql.query({ name: "", text: "delete from scheduled_delivery where id = $1" }, [scheduled]);
    expect((await drop(late)).dropped).toEqual(["event_20210110", "delivery_20210110"]);
  });

  it("the attempts of a day that stays longer go after the retention, and a stop leaves the rest of them to the next run", async () => {
    const day = Date.UTC(2021, 5, 10);
    await drop(day);
    await ensurePartitions(database.sql, { now: day, daysBefore: 0, daysAhead: 1 });
    const [scheduled, ...finished] = await insertHistory(database.sql, {
      day,
      webhooks: 1,
      events: 1_501,
      scheduled: 1,
    });
    const next = await insertHistory(database.sql, { day: day + dayMs, webhooks: 1, events: 1 });
    const now = day + dayMs + retention.recordRetentionMs;

    await drop(now - 1);
    expect(await countAttempts(database, finished)).toBe(1_500);
    let asked = 0;
    const stopped = { now, ...retention, isStopping: () => ++asked > 1 };
    const { postponed } = (await database.exclusively(1, (session) => dropExpired(session, stopped)))!;
    expect(postponed).toEqual(["attempt_20210610"]);
    expect(await countAttempts(database, finished)).toBe(500);
    expect((await drop(now)).dropped).toEqual(["attempt_20210610"]);
    expect(await countAttempts(database, finished)).toBe(0);
    expect(await countAttempts(database, next)).toBe(1);
    const kept = { name: "", text: "select from delivery where id = any($1::uuid[])" };
    expect(await database.sql.query(kept, [finished])).toHaveLength(1_500);
    await database.sql.query({ name: "", text: "delete from scheduled_delivery where id = $1" }, [scheduled]);
  });

  it("today and yesterday stay, however short the retention is", async () => {
    const now = Date.UTC(2022, 0, 10, 23);
    await drop(now);
    await ensurePartitions(database.sql, { now, daysBefore: 2, daysAhead: 0 });
    const none = { payloadRetentionMs: 0, recordRetentionMs: 0 };
    const { dropped } = (await database.exclusively(1, (session) => dropExpired(session, { now, ...none })))!;
    expect(dropped).toEqual(["event_20220108", "delivery_20220108", "attempt_20220108"]);
  });

  it("records are never dropped before the payloads from which they could be made again", async () => {
    const now = Date.UTC(2023, 0, 10);
    await drop(now);
    await ensurePartitions(database.sql, { now, daysBefore: 0, daysAhead: 0 });
    const reversed = { payloadRetentionMs: 5 * dayMs, recordRetentionMs: dayMs };
    const dropAt = (at: number) => database.exclusively(1, (session) => dropExpired(session, { now: at, ...reversed }));
    expect(await dropAt(now + 5 * dayMs)).toEqual({ dropped: [], postponed: [] });
    expect(await dropAt(now + 6 * dayMs)).toMatchObject({
      dropped: ["event_20230110", "delivery_20230110", "attempt_20230110"],
    });
  });

  it("the worker makes the days to come and drops the expired ones, again and again until it is stopped", async () => {
    let now = Date.UTC(2024, 0, 10);
    const reported: string[] = [];
    const failures: unknown[] = [];
    let runs = 0;
    const second = Promise.withResolvers<void>();
    const worker = createRetentionWorker({
      database,
      now: () => now,
      ...retention,
      auditRetentionMs: 400 * dayMs,
      intervalMs: 1,
      onDropped: ({ dropped }) => {
        reported.push(...dropped);
        runs += 1;
        // From here on everything that the first run made is past its retention.
        now = Date.UTC(2024, 1, 10);
        if (runs === 2) second.resolve();
      },
      onFailure: (error) => failures.push(error),
    });
    await ensurePartitions(database.sql, { now: Date.UTC(2023, 10, 1), daysBefore: 0, daysAhead: 0 });
    worker.start();
    await second.promise;
    await worker.stop();
    expect(failures).toEqual([]);
    expect(reported.slice(0, 3)).toEqual(["event_20231101", "delivery_20231101", "attempt_20231101"]);
    expect(reported).toContain("attempt_20240117");
    expect(await partitionsOf(database.sql, "20240217")).toHaveLength(3);
    expect(await partitionsOf(database.sql, "20240117")).toEqual([]);
  });

  it("audit entries stay for as long as is said, and are removed after it, however many they are", async () => {
    const now = Date.UTC(2025, 0, 10);
    const auditRetentionMs = 400 * dayMs;
    const at = (ms: number) => newUuid({ now: () => ms, randomBytes: (size) => randomBytes(size) });
    const old = Array.from({ length: 2_500 }, (_, index) => at(now - auditRetentionMs - 1 - index));
    const kept = [at(now - auditRetentionMs), at(now)];
    const ids = [...old, ...kept];
    const insert = `insert into audit_entry (id, actor_kind, actor_id, action, resource_type, changed_fields)
      select id, 'SYSTEM', 'x', 'webhook.verify', 'webhook', '{}' from unnest($1::uuid[]) as e (id)`;
    await database.sql.query({ name: "", text: insert }, [ids]);
    const worker = createRetentionWorker({
      database,
      now: () => now,
      ...retention,
      auditRetentionMs,
      onDropped: () => {},
      onFailure: () => {},
    });
    await worker.run();
    const left = await database.sql.query({ name: "", text: "select id from audit_entry order by id" }, []);
    expect(left).toEqual(kept.map((id) => ({ id })));
  });
}

async function countAttempts(database: Database, deliveryIds: readonly string[]): Promise<number> {
  const text = `select from (${storedAttempts}) a where delivery_id = any($1::uuid[])`;
  return (await database.sql.query({ name: "", text }, [deliveryIds])).length;
}
