import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Database } from "../../src/store/database.ts";
import { dueDeliveries, renewLanes } from "../../src/store/sql/lanes.ts";
import { addOrganization, addWebhook } from "../support/engine.ts";
import { withOwnDatabase } from "../support/own-database.ts";
import { waitFor } from "../support/wait-for.ts";
import { claimLane, delivered, laneRow, record, release, run, scheduledRecord } from "./store-under-test.ts";

let database: Database;
let organizationId: string;

withOwnDatabase({ maxConnections: 8 }, async (own) => {
  database = own;
  organizationId = await addOrganization(database);
});

const newWebhook = async (status: "ACTIVE" | "PAUSED" | "DISABLED" = "ACTIVE") =>
  (await addWebhook(database, organizationId, { url: "http://127.0.0.1:9/", status })).webhook.id;

const scheduled = (webhookId: string, nextAttemptAt: number) =>
  scheduledRecord({ organizationId, webhookId }, { nextAttemptAt });

const ordered = (webhookId: string, sequence: number, nextAttemptAt = Number.POSITIVE_INFINITY) =>
  scheduledRecord({ organizationId, webhookId }, { nextAttemptAt, orderingKey: "key", sequence });

/** The database counts microseconds, which the clock here cuts off. */
const soon = () => Date.now() + 1;

describe("lanes", () => {
  test("a lane is due when the first of its deliveries is, and only one process gets it", async () => {
    const webhookId = await newWebhook();
    await record(database, scheduled(webhookId, 5_000), scheduled(webhookId, 3_000));
    expect(await claimLane(database, webhookId, { now: 2_999 })).toBeUndefined();
    expect(await claimLane(database, webhookId, { now: 3_000 })).toMatchObject({
      webhookId,
      organizationId,
      status: "ACTIVE",
      openUntil: null,
      opened: 0,
      rateTime: null,
      leftAt: null,
      hasOrdered: false,
    });
    expect(await claimLane(database, webhookId, { now: 9_000 })).toBeUndefined();
    const { deliveries: due } = await dueDeliveries(database.sql, { webhookId, now: 4_000, limit: 10, maxBytes: 1e9 });
    expect(due.map(({ dataJson }) => dataJson)).toEqual([null]);
  });

  test("a lane that is given back is due with what remains, and gone when nothing does", async () => {
    const webhookId = await newWebhook();
    const [first, second] = [scheduled(webhookId, 1_000), scheduled(webhookId, 8_000)];
    await record(database, first, second);
    const lane = await claimLane(database, webhookId, { now: 1_000 });
    await record(database, delivered(first, 1));
    expect(await release(database, lane)).toBe(8_000);
    const again = await claimLane(database, webhookId, { now: 8_000 });
    await record(database, delivered(second, 1));
    expect(await release(database, again)).toBeUndefined();
    expect(await laneRow(database, webhookId)).toBeUndefined();
  });

  test("a lane is not due before the time that its holder names", async () => {
    const webhookId = await newWebhook();
    await record(database, scheduled(webhookId, 1_000));
    const notBefore = Date.now() + 60_000;
    expect(await release(database, await claimLane(database, webhookId), { notBefore })).toBe(notBefore);
    expect(await claimLane(database, webhookId)).toBeUndefined();
  });

  test("the breaker and the rate limit are as the last holder left them", async () => {
    const webhookId = await newWebhook();
    await record(database, scheduled(webhookId, 1_000));
    const left = { breaker: { openUntil: 5_000, opened: 3 }, rateTime: 6_000.5 };
    await release(database, await claimLane(database, webhookId), left);
    expect(await claimLane(database, webhookId)).toMatchObject({ openUntil: 5_000, opened: 3, rateTime: 6_001 });
  });

  test("a delivery that is recorded while the breaker is open does not make its lane due before that ends", async () => {
    const webhookId = await newWebhook();
    await record(database, scheduled(webhookId, 1_000));
    const openUntil = Date.now() + 60_000;
    const left = { notBefore: openUntil, breaker: { openUntil, opened: 1 } };
    await release(database, await claimLane(database, webhookId), left);
    await record(database, scheduled(webhookId, Date.now()));
    expect((await laneRow(database, webhookId))?.dueAt).toBe(openUntil);
  });

  test.each([
    ["breaker", (until: number) => ({ breaker: { openUntil: until, opened: 1 } })],
    ["rate limit", (until: number) => ({ rateTime: until })],
  ])("a lane with nothing scheduled stays for as long as its %s must be remembered", async (_what, leave) => {
    const webhookId = await newWebhook();
    const delivery = scheduled(webhookId, 1_000);
    await record(database, delivery);
    const lane = await claimLane(database, webhookId);
    await record(database, delivered(delivery, 1));
    const until = Date.now() + 60_000;
    expect(await release(database, lane, leave(until))).toBe(until);
    const again = await claimLane(database, webhookId, { now: until });
    await release(database, again, leave(Date.now() - 1));
    expect(await laneRow(database, webhookId)).toBeUndefined();
  });

  test("who lost the lease can neither renew nor give back the lane", async () => {
    const webhookId = await newWebhook();
    await record(database, scheduled(webhookId, 1_000));
    const before = Date.now();
    const slow = await claimLane(database, webhookId, { leaseMs: 0 });
    const next = await claimLane(database, webhookId);
    expect(next?.fence).toBe((slow?.fence ?? 0) + 1);
    expect(slow?.leftAt).toBeNull();
    expect(next?.leftAt).toBeGreaterThanOrEqual(before);
    expect(next?.leftAt).toBeLessThanOrEqual(soon());
    const renewal = { owner: slow?.owner ?? "", webhookIds: [webhookId], leaseMs: 1_000 };
    expect(await renewLanes(database.sql, renewal)).toEqual(new Set());
    await release(database, slow);
    expect(await claimLane(database, webhookId)).toBeUndefined();
  });

  test("leases are renewed in the order of the ids, so that nobody who locks several lanes waits in a ring", async () => {
    const owner = randomUUID();
    const webhookIds = Array.from({ length: 3 }, () => randomUUID()).sort();
    const [first = "", middle = "", last = ""] = webhookIds;
    for (const webhookId of [last, middle, first]) {
      await record(database, scheduled(webhookId, 1_000));
      expect(await claimLane(database, webhookId, { owner })).toBeDefined();
    }
    let renewing: Promise<Set<string>> | undefined;
    await database.sql.transaction(async (transaction) => {
      await transaction.query({ name: "", text: "select from lane where webhook_id = $1 for update" }, [middle]);
      renewing = renewLanes(database.sql, { owner, webhookIds, leaseMs: 60_000 });
      const waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
      await waitFor(async () => (await run(database, waits)).length === 1);
      const free = "select webhook_id as id from lane where webhook_id = any($1::uuid[]) for update skip locked";
      expect(await run(database, free, [webhookIds])).toEqual([{ id: last }]);
    });
    expect(await renewing).toEqual(new Set(webhookIds));
  });

  test("who lost the lease cannot give back the lane that was removed and made again since", async () => {
    const webhookId = await newWebhook();
    const delivery = scheduled(webhookId, 1_000);
    await record(database, delivery);
    const slow = await claimLane(database, webhookId, { leaseMs: 0 });
    const next = await claimLane(database, webhookId, { leaseMs: 0 });
    await record(database, delivered(delivery, 1));
    await release(database, next);
    await record(database, scheduled(webhookId, 2_000));
    expect((await claimLane(database, webhookId))?.fence).toBe(slow?.fence);
    await release(database, slow);
    expect(await claimLane(database, webhookId)).toBeUndefined();
  });

  test("a paused webhook's lane rests, and an active one's does not, whatever the worker thought", async () => {
    for (const [status, dueAt] of [["PAUSED", Number.POSITIVE_INFINITY] as const, ["ACTIVE", 1_000] as const]) {
      const webhookId = await newWebhook(status);
      await record(database, scheduled(webhookId, 1_000));
      await release(database, await claimLane(database, webhookId), { hold: true });
      expect((await laneRow(database, webhookId))?.dueAt).toBe(dueAt);
    }
  });

  test("the lane of a webhook that was disabled meanwhile is due at once, to be cancelled, however late its next attempt is", async () => {
    const disabled = await newWebhook("DISABLED");
    await record(database, scheduled(disabled, 1_000), scheduled(disabled, Date.now() + 3_600_000));
    const lane = await claimLane(database, disabled);
    expect(await release(database, lane, { notBefore: Date.now() + 3_600_000 })).toBeLessThanOrEqual(soon());
    expect(await claimLane(database, disabled)).toMatchObject({ status: "DISABLED" });
  });

  test("the lane of a webhook that was deleted meanwhile is due at once, to be cancelled, and still of its organization", async () => {
    const deleted = randomUUID();
    await record(database, scheduled(deleted, 1_000), scheduled(deleted, Date.now() + 3_600_000));
    const lane = await claimLane(database, deleted);
    await run(database, "delete from scheduled_delivery where webhook_id = $1 and next_attempt_at < now()", [deleted]);
    expect(await release(database, lane)).toBeLessThanOrEqual(soon());
    expect(await claimLane(database, deleted)).toMatchObject({ organizationId, status: null });
  });

  test("a delivery that is scheduled while its lane is given back is never forgotten", async () => {
    const webhookId = await newWebhook();
    const scheduling = async () => {
      for (let round = 0; round < 100; round += 1) {
        await record(database, scheduled(webhookId, 1_000 + round));
      }
    };
    const working = async () => {
      for (let round = 0; round < 200; round += 1) {
        const lane = await claimLane(database, webhookId);
        if (lane !== undefined) {
          const waiting = "delete from scheduled_delivery where webhook_id = $1";
          await run(database, waiting, [webhookId]);
          await release(database, lane);
        }
      }
    };
    await Promise.all([scheduling(), scheduling(), working(), working()]);
    const count = "select count(*)::int as waiting from scheduled_delivery where webhook_id = $1";
    const [left] = await run<{ waiting: number }>(database, count, [webhookId]);
    const lane = await laneRow(database, webhookId);
    expect(lane === undefined ? 0 : 1).toBe(left?.waiting === 0 ? 0 : 1);
    expect(Number.isFinite(lane?.dueAt ?? 0)).toBe(true);
  });
});

describe("lanes with an order", () => {
  test("a delivery that waits for its turn makes its lane due now, so that the turns are looked at", async () => {
    const webhookId = await newWebhook();
    await record(database, ordered(webhookId, 7));
    expect((await laneRow(database, webhookId))?.dueAt).toBeLessThanOrEqual(soon());
    expect(await dueDeliveries(database.sql, { webhookId, now: soon(), limit: 10, maxBytes: 1e9 })).toEqual({
      deliveries: [],
      isAll: true,
    });
  });

  test("a lane in which everything waits for its turn is due again in about a second, and rests where it is held", async () => {
    const webhookId = await newWebhook();
    await record(database, ordered(webhookId, 7));
    const before = Date.now();
    const dueAt = await release(database, await claimLane(database, webhookId));
    expect(dueAt).toBeGreaterThanOrEqual(before + 900);
    expect(dueAt).toBeLessThanOrEqual(Date.now() + 1_100);
    await run(database, "update webhook set status = 'PAUSED' where id = $1", [webhookId]);
    const paused = await claimLane(database, webhookId, { now: Date.now() + 2_000 });
    expect(await release(database, paused, { hold: true })).toBeUndefined();
    expect((await laneRow(database, webhookId))?.dueAt).toBe(Number.POSITIVE_INFINITY);
  });

  test("what has come since the turns were given out is looked at soon, though the next attempt of another is far off", async () => {
    const webhookId = await newWebhook();
    const later = Date.now() + 3_600_000;
    await record(database, ordered(webhookId, 7, later), ordered(webhookId, 8));
    expect(await release(database, await claimLane(database, webhookId))).toBeLessThanOrEqual(Date.now() + 1_100);
    await run(database, "update lane set ordered_through = 8, due_at = now() where webhook_id = $1", [webhookId]);
    expect(await release(database, await claimLane(database, webhookId))).toBe(later);
  });
});
