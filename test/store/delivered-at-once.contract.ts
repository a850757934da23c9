import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Database } from "../../src/store/database.ts";
import type { Attempt } from "../../src/store/entities/attempt.ts";
import { lastAttempts } from "../../src/store/sql/last-attempts.ts";
import { rescheduleFinished } from "../../src/store/sql/move-deliveries.ts";
import { recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { AttemptRecord } from "../../src/store/sql/write-attempts.ts";
import { addOrganization, attemptsOf, deliveriesOf } from "../support/engine.ts";
import {
  attemptOf,
  delivered,
  exhausted,
  failed,
  record,
  recordBatch,
  run,
  scheduledRecord,
} from "./store-under-test.ts";

/** What holds of deliveries that arrive at their first attempt, on a Postgres server and in the embedded one. */
export function itKeepsTheAttemptInTheRow(open: () => Promise<{ database: Database; close(): Promise<void> }>): void {
  let database: Database;
  let close: () => Promise<void>;
  let target: { organizationId: string; webhookId: string };
  beforeAll(async () => {
    ({ database, close } = await open());
    target = { organizationId: await addOrganization(database), webhookId: randomUUID() };
  });
  afterAll(() => close());

  const arrived = () => {
    const delivery = delivered(scheduledRecord(target), 1);
    return { delivery, attempt: attemptOf(delivery) };
  };
  const write = (...outcomes: ReturnType<typeof arrived>[]) =>
    recordBatch(database, {
      deliveries: outcomes.map(({ delivery }) => delivery),
      attempts: outcomes.map(({ attempt }) => attempt),
    });
  const listed = async (deliveryId: string) => (await attemptsOf(database, deliveryId)).map(shown);
  /** How many attempts of the delivery stand by themselves. */
  const standingAlone = async (deliveryId: string) =>
    (await run(database, "select from attempt where delivery_id = $1", [deliveryId])).length;
  const standing = async (id: string) =>
    (await deliveriesOf(database, target.webhookId)).filter((delivery) => delivery.id === id);

  it("the delivery is one row, and its attempt is read with all of its fields", async () => {
    const outcome = arrived();
    const attempt = {
      ...outcome.attempt,
      startedAt: Date.now() - 42,
      latencyMs: 12.25,
      responseBody: Buffer.from([0, 255, 10, 92]),
      url: "https://example.com/ä?b=c",
    };
    await write({ ...outcome, attempt }, arrived());
    expect(await listed(outcome.delivery.id)).toEqual([shown(attempt)]);
    expect(await standingAlone(outcome.delivery.id)).toBe(0);
  });

  it("the newest attempt of each delivery is found, whether it stands in the row or by itself", async () => {
    const [held, alone] = [arrived(), arrived()];
    await write(held);
    await recordBatch(database, { deliveries: [failed(alone.delivery, 1, 1_000)], attempts: [alone.attempt] });
    const later = exhausted(alone.delivery, 2);
    await recordBatch(database, { deliveries: [later], attempts: [attemptOf(later)] });
    const deliveryIds = [held.delivery.id, alone.delivery.id];
    const found = await lastAttempts(database.sql, { deliveryIds, first: smallestId, end: largestId });
    expect(found.get(held.delivery.id)).toEqual({
      endedAt: new Date(held.attempt.startedAt + held.attempt.latencyMs),
      errorMessage: "",
    });
    expect(found.get(alone.delivery.id)).toMatchObject({ errorMessage: "the receiver answered 500" });
  });

  it("one that is written a second time, alone or among others, changes nothing", async () => {
    const [first, second] = [arrived(), arrived()];
    await write(first);
    await write(first);
    await write(second, first);
    await write(first, second);
    for (const { delivery, attempt } of [first, second]) {
      expect(await listed(delivery.id)).toEqual([shown(attempt)]);
      expect(await standing(delivery.id)).toMatchObject([{ status: "DELIVERED", attemptCount: 1 }]);
    }
  });

  it("one that two processes delivered keeps the attempts of both", async () => {
    const mine = arrived();
    const theirs = { ...mine, attempt: { ...attemptOf(mine.delivery), url: "http://127.0.0.1:9/theirs" } };
    await Promise.all([write(mine), write(theirs)]);
    await write(theirs);
    await write(mine);
    const both = [mine, theirs].map(({ attempt }) => shown(attempt));
    expect(await listed(mine.delivery.id)).toEqual(both.sort(byId));
    expect(await standing(mine.delivery.id)).toMatchObject([{ status: "DELIVERED", attemptCount: 1 }]);
  });

  it("one that another process handed to its lane at the same moment has its attempt once", async () => {
    const outcome = arrived();
    await write(outcome);
    const both = `
      insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                      last_status_code, created_at)
      select id, organization_id, webhook_id, event_id, event_type, 0, now(), 0, created_at from delivery where id = $1`;
    await run(database, both, [outcome.delivery.id]);
    await write(outcome);
    expect(await listed(outcome.delivery.id)).toEqual([shown(outcome.attempt)]);
    expect(await standing(outcome.delivery.id)).toMatchObject([{ status: "DELIVERED", attemptCount: 1 }]);
  });

  it("a later attempt that fails leaves what the first one came to", async () => {
    const { delivery, attempt } = arrived();
    await write({ delivery, attempt });
    const later = failed(delivery, 2, 1_000);
    await recordBatch(database, { deliveries: [later], attempts: [attemptOf(later)] });
    expect(await standing(delivery.id)).toMatchObject([{ attemptCount: 2, lastStatusCode: 500 }]);
    expect(await listed(delivery.id)).toMatchObject([shown(attempt), { number: 2, statusCode: 500 }]);
  });

  it("a retry keeps the first attempt beside the second, also where the first is written again", async () => {
    const { delivery, attempt } = arrived();
    await write({ delivery, attempt });
    await rescheduleFinished(database.sql, { id: delivery.id, now: Date.now() });
    expect(await listed(delivery.id)).toEqual([shown(attempt)]);
    await write({ delivery, attempt });
    const again = delivered(delivery, 2);
    const second = { ...attemptOf(again), trigger: "MANUAL" as const };
    await recordBatch(database, { deliveries: [again], attempts: [second] });
    await write({ delivery, attempt });
    expect(await listed(delivery.id)).toEqual([shown(attempt), shown(second)]);
    expect(await standing(delivery.id)).toMatchObject([{ status: "DELIVERED", attemptCount: 2 }]);
  });

  it.each([
    ["failed before", { number: 2 }, { attemptCount: 2 }],
    ["was asked for by hand", { trigger: "MANUAL" }, {}],
    ["keeps an order", {}, { orderingKey: "k", sequence: 1 }],
    ["has a reason", {}, { statusReason: "because" }],
    ["has something to say", { errorMessage: "well" }, {}],
  ] as const)("one that %s is written with all that there is to say", async (_what, attemptValues, deliveryValues) => {
    const outcome = arrived();
    const delivery = { ...outcome.delivery, ...deliveryValues };
    const attempt: AttemptRecord = { ...outcome.attempt, ...attemptValues };
    await write({ delivery, attempt });
    await write({ delivery, attempt });
    expect(await listed(delivery.id)).toEqual([shown(attempt)]);
    expect(await standing(delivery.id)).toMatchObject([
      { attemptCount: delivery.attemptCount, statusReason: delivery.statusReason },
    ]);
  });

  it("of several attempts in one batch, each is kept", async () => {
    const { delivery, attempt } = arrived();
    const other = attemptOf(delivery);
    await recordBatch(database, { deliveries: [delivery], attempts: [attempt, other] });
    expect(await listed(delivery.id)).toEqual([attempt, other].map(shown).sort(byId));
  });

  it("one from before, whose attempt stands by itself, is read as it was", async () => {
    const { delivery, attempt } = arrived();
    await record(database, delivery);
    const text = `
      insert into attempt (id, delivery_id, number, trigger, started_at, latency_ms, status_code, error_message, response_body, url)
      values ($1, $2, 1, 'SCHEDULE', $3, 1.5, 200, '', 'no', 'http://127.0.0.1:9/')`;
    await run(database, text, [attempt.id, delivery.id, new Date(attempt.startedAt).toISOString()]);
    expect(await listed(delivery.id)).toEqual([shown(attempt)]);
    await write({ delivery, attempt });
    expect(await listed(delivery.id)).toEqual([shown(attempt)]);
  });

  it("a batch that the database refuses leaves nothing behind", async () => {
    const outcomes = [arrived(), arrived()];
    const deliveries = outcomes.map(({ delivery }, index) => ({ ...delivery, eventType: index === 1 ? "\0" : "a" }));
    const batch = { deliveries, attempts: outcomes.map(({ attempt }) => attempt), disablings: [] };
    await expect(recordOutcomes(database.sql, batch)).rejects.toThrow();
    for (const { id } of deliveries) expect(await standing(id)).toEqual([]);
  });
}

const smallestId = "00000000-0000-0000-0000-000000000000";
const largestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** An attempt as it was made or as it was read: what both have. */
function shown({ startedAt, responseBody, ...attempt }: AttemptRecord | Attempt) {
  return { ...attempt, startedAt: Number(startedAt), responseBody: Buffer.from(responseBody).toString("latin1") };
}

function byId(one: { id: string }, other: { id: string }): number {
  return one.id < other.id ? -1 : 1;
}
