import { randomUUID } from "node:crypto";
import { deliveryIdOf, newUuid } from "../../src/domain/ids.ts";
import type { Database } from "../../src/store/database.ts";
import {
  type ClaimedLane,
  claimLanes,
  type LaneClaim,
  type ReleasedLane,
  releaseLane,
} from "../../src/store/sql/lanes.ts";
import { type OutcomeBatch, recordOutcomes } from "../../src/store/sql/record-outcomes.ts";
import type { AttemptRecord } from "../../src/store/sql/write-attempts.ts";
import type { DeliveryRecord } from "../../src/store/sql/write-deliveries.ts";
import { testIds } from "../support/engine.ts";

/** A delivery that was handed to its lane without an attempt, of an event that was received now. */
export function scheduledRecord(
  target: { organizationId: string; webhookId: string },
  values: Partial<DeliveryRecord> = {},
): DeliveryRecord {
  const createdAt = values.createdAt ?? Date.now();
  const eventId = values.eventId ?? randomUUID();
  return {
    id: deliveryIdOf(eventId, createdAt, target.webhookId),
    ...target,
    eventId,
    eventType: "order.paid",
    status: "SCHEDULED",
    statusReason: "",
    attemptCount: 0,
    nextAttemptAt: createdAt,
    lastStatusCode: 0,
    createdAt,
    completedAt: null,
    orderingKey: null,
    sequence: null,
    ...values,
  };
}

/** The same delivery after its attempt of this number. */
export const delivered = (record: DeliveryRecord, attemptCount: number): DeliveryRecord =>
  finished(record, { attemptCount, status: "DELIVERED", lastStatusCode: 200 });

export const exhausted = (record: DeliveryRecord, attemptCount: number): DeliveryRecord =>
  finished(record, { attemptCount, status: "EXHAUSTED", statusReason: "all attempts failed", lastStatusCode: 500 });

export const failed = (record: DeliveryRecord, attemptCount: number, nextAttemptAt: number): DeliveryRecord => ({
  ...record,
  attemptCount,
  nextAttemptAt,
  lastStatusCode: 500,
});

function finished(record: DeliveryRecord, values: Partial<DeliveryRecord>): DeliveryRecord {
  return { ...record, nextAttemptAt: null, completedAt: Date.now(), ...values };
}

/** The attempt that a delivery stands after: one that fails, unless it was delivered. */
export function attemptOf({ id, attemptCount, status, lastStatusCode }: DeliveryRecord): AttemptRecord {
  const attempt = {
    id: newUuid(testIds),
    deliveryId: id,
    number: attemptCount,
    trigger: "SCHEDULE" as const,
    startedAt: Date.now(),
    latencyMs: 1.5,
    responseBody: Buffer.from("no"),
    url: "http://127.0.0.1:9/",
  };
  return status === "DELIVERED"
    ? { ...attempt, statusCode: lastStatusCode, error: null, errorMessage: "" }
    : { ...attempt, statusCode: 500, error: "STATUS", errorMessage: "the receiver answered 500" };
}

/** Records deliveries as they stand, without attempts. */
export async function record(database: Database, ...deliveries: DeliveryRecord[]): Promise<void> {
  await recordOutcomes(database.sql, { deliveries, attempts: [], disablings: [] });
}

export async function recordBatch(database: Database, batch: Partial<OutcomeBatch>): Promise<void> {
  await recordOutcomes(database.sql, { deliveries: [], attempts: [], disablings: [], ...batch });
}

export type HeldLane = ClaimedLane & { owner: string };

/** Claims what is due and returns the lane of the webhook; undefined where it was not among it. */
export async function claimLane(
  database: Database,
  webhookId: string,
  values: Partial<LaneClaim> = {},
): Promise<HeldLane | undefined> {
  const owner = randomUUID();
  const claim = { owner, now: Date.now() + 1, limit: 1_000, leaseMs: 60_000, ...values };
  const lane = (await claimLanes(database.sql, claim)).find((candidate) => candidate.webhookId === webhookId);
  return lane && { ...lane, owner };
}

/** Gives a lane back as it was claimed, but for the values. */
export async function release(
  database: Database,
  lane: HeldLane | undefined,
  values: Partial<ReleasedLane> = {},
): Promise<number | undefined> {
  if (lane === undefined) throw new Error("nobody got the lane");
  const { webhookId, owner, fence, openUntil, opened, rateTime } = lane;
  const breaker = { openUntil, opened };
  return await releaseLane(database.sql, {
    webhookId,
    owner,
    fence,
    hold: false,
    notBefore: 0,
    breaker,
    rateTime,
    ...values,
  });
}

export interface LaneRow {
  /** Milliseconds since the epoch. */
  dueAt: number;
  organizationId: string | null;
}

export async function laneRow(database: Database, webhookId: string): Promise<LaneRow | undefined> {
  const text = `
    select (extract(epoch from due_at) * 1000)::float8 as "dueAt", organization_id as "organizationId"
    from lane where webhook_id = $1`;
  const [row] = await database.sql.query<LaneRow>({ name: "", text }, [webhookId]);
  return row;
}

/** A statement of the test's own. */
export async function run<Row>(database: Database, text: string, parameters: readonly unknown[] = []): Promise<Row[]> {
  return await database.sql.query<Row>({ name: "", text }, parameters);
}

/** The operational events that wait to be published and name the subject, a public id. */
export async function operationalEventsAbout(database: Database, subject: string) {
  return await run<{ id: string; type: string; data_json: string; organization_id: string }>(
    database,
    "select id, type, data_json, organization_id from operational_event where data_json like $1 order by id",
    [`%${subject}%`],
  );
}
