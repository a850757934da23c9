import type { EventRecord } from "../../domain/event.ts";
import { textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import { hasHeard } from "../hearing-connections.ts";
import { isUniqueViolation } from "../is-unique-violation.ts";
import type { Sql, Statement } from "../sql.ts";
import { type Incarnation, unflushed } from "./incarnation.ts";

/**
 * Writes events, payload included. An id that the organization has used since `rememberedSince` changes nothing: the first event stands.
 * `oldestPublishedAt`: of these events, when the broker took the first; one that comes again is known for as long as the broker held it.
 */
export type InsertEvents = (
  records: readonly EventRecord[],
  receivedAt: Date,
  oldestPublishedAt?: Date,
) => Promise<InsertedEvents>;

export interface InsertedEvents {
  /** The keys (`eventKey`) of those that were there before. */
  known: ReadonlySet<string>;
  /** The incarnation that the others are there in, and may be lost with; undefined where they certainly outlive a crash. */
  storedIn: Incarnation | undefined;
  /** Whether all changes of webhooks that were committed before the call have been heard of. */
  hasHeard: boolean;
}

/**
 * As a rule all events are new, and writing those costs Postgres a fifth less where it may fail on one that is not. Events that come again come
 * in numbers, such as after an outage: for a minute after one of them the events are written by the statement that expects them.
 */
export function createEventInserter(sql: Sql): InsertEvents {
  let someKnownUntil = Number.NEGATIVE_INFINITY;
  return async (records, receivedAt, oldestPublishedAt = receivedAt) => {
    const parameters = parametersOf(inOneOrder(records), receivedAt, oldestPublishedAt);
    if (isMidnight(receivedAt)) {
      return await insertAtMidnight(sql, parameters);
    }
    const allNew = receivedAt.getTime() < someKnownUntil ? undefined : await insertAllNew(sql, parameters);
    if (allNew !== undefined) {
      return allNew;
    }
    const inserted = await insertUnknown(sql, parameters);
    if (inserted.known.size > 0) someKnownUntil = receivedAt.getTime() + someKnownMs;
    return inserted;
  };
}

/** By everybody, so that two statements with the same events, in two processes or in one, never wait for each other in a ring. */
function inOneOrder(events: readonly EventRecord[]): EventRecord[] {
  return events.toSorted((one, other) => {
    if (one.id !== other.id) return one.id < other.id ? -1 : 1;
    return one.organizationId < other.organizationId ? -1 : 1;
  });
}

function parametersOf(events: readonly EventRecord[], receivedAt: Date, oldestPublishedAt: Date): unknown[] {
  const dayBegan = receivedAt.getTime() - (receivedAt.getTime() % dayMs);
  return [
    uuidArray(events, (event) => event.id),
    uuidArray(events, (event) => event.organizationId),
    textArray(events, (event) => event.externalId),
    textArray(events, (event) => event.type),
    textArray(events, (event) => event.dataJson),
    textArray(events, (event) => event.source),
    textArray(events, (event) => event.subject),
    textArray(events, (event) => event.projectId),
    textArray(events, (event) => event.orderingKey),
    textArray(events, (event) => event.traceparent),
    timestamptzArray(events, (event) => event.occurredAt.getTime()),
    receivedAt.toISOString(),
    rememberedSince(receivedAt, oldestPublishedAt).toISOString(),
    new Date(dayBegan).toISOString(),
    new Date(dayBegan + dayMs).toISOString(),
    new Date(receivedAt.getTime() + clockToleranceMs).toISOString(),
  ];
}

interface AllNewRow {
  stored_in: Incarnation | null;
  is_known: boolean;
  has_heard: boolean;
}

/** Writes all of the events, or none where one of them was there before: then undefined. Not for a transaction, which a statement that fails would end. */
async function insertAllNew(sql: Sql, parameters: readonly unknown[]): Promise<InsertedEvents | undefined> {
  try {
    const [row] = await sql.query<AllNewRow>(allNew, parameters);
    if (row?.is_known !== false) return undefined;
    return { known: noneKnown, storedIn: row.stored_in ?? undefined, hasHeard: row.has_heard };
  } catch (error) {
    if (isUniqueViolation(error)) return undefined;
    throw error;
  }
}

/** Writes the events that were not there. */
async function insertUnknown(sql: Sql, parameters: readonly unknown[]): Promise<InsertedEvents> {
  const [row] = await sql.query<{ stored_in: Incarnation | null; known: { id: string; organization_id: string }[] }>(
    someKnown,
    parameters,
  );
  const known = new Set((row?.known ?? []).map(({ id, organization_id }) => eventKey(organization_id, id)));
  return { known, storedIn: row?.stored_in ?? undefined, hasHeard: false };
}

/** UTC, by clocks that disagree. */
function isMidnight(time: Date): boolean {
  const sinceMidnight = time.getTime() % dayMs;
  return Math.min(sinceMidnight, dayMs - sinceMidnight) <= clockToleranceMs;
}

/**
 * Two processes may write to different days, whose indexes do not know of each other: they insert one after the other, so that each sees what the
 * other one wrote.
 */
async function insertAtMidnight(sql: Sql, parameters: readonly unknown[]): Promise<InsertedEvents> {
  return await sql.transaction(async (transaction) => {
    await transaction.query(lockMidnight, []);
    return await insertUnknown(transaction, parameters);
  });
}

/**
 * Since when ids are remembered for events that are received now: a day, or for as long as the broker has held the oldest of them, with a minute
 * for clocks that disagree.
 */
export function rememberedSince(receivedAt: Date, oldestPublishedAt: Date): Date {
  return new Date(Math.min(receivedAt.getTime() - dayMs, oldestPublishedAt.getTime() - clockToleranceMs));
}

/** An event's id is unique only within its organization. */
export function eventKey(organizationId: string, eventId: string): string {
  return `${organizationId} ${eventId}`;
}

const noneKnown: ReadonlySet<string> = new Set();
/** After events that came again, how long more of them are expected. */
const someKnownMs = 60_000;

const dayMs = 24 * 60 * 60_000;
const clockToleranceMs = 60_000;

/** Held until the transaction ends. The numbers mean nothing but "Tellwire" and "its midnight". */
const lockMidnight = { name: "lock-midnight", text: "select pg_advisory_xact_lock(1952803948, 2)" };

const columns = `id, organization_id, external_id, type, data_json, source, subject, project_id, ordering_key, traceparent, occurred_at,
                           received_at`;

// In the select list: `from unnest(…)` writes all rows down before the first of them is read.
const eventRows = `select unnest($1::uuid[]) as id, unnest($2::uuid[]) as organization_id, unnest($3::text[]), unnest($4::text[]),
             unnest($5::text[]), unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]),
             unnest($11::timestamptz[]), $12::timestamptz`;

// Of the event `n`. Index: the unique one of yesterday's partition, and of the others that are remembered: as a rule one look for each event. A
// process whose clock is ahead may be in tomorrow already. `offset 0` has the question asked by index for each event: as a join, it may read the
// whole partition while the database has no statistics of it. And `is true` keeps it from the index event_received: that one knows all that is asked, too,
// but only after reading what the organization published since then.
const isOfAnotherDay = `exists (
        select from event e
        where e.id = n.id and (e.organization_id = n.organization_id) is true
          and e.received_at >= $13::timestamptz and e.received_at < $16::timestamptz
          and (e.received_at < $14::timestamptz or e.received_at >= $15::timestamptz)
        offset 0
      )`;

// Cost: one row and three index entries for each event, one statement for each batch, and no wait for the disk. Fails where the unique index of today's
// partition finds an event that came today, and writes nothing where one came on another day.
const allNew: Statement = {
  name: "insert-events",
  plannedOnce: true,
  text: `
    with ${unflushed}, known as (
      select from unnest($1::uuid[], $2::uuid[]) as n (id, organization_id)
      where ${isOfAnotherDay}
      limit 1
    ), inserted as (
      insert into event (${columns})
      ${eventRows}
      where not exists (select from known)
    )
    select (select id from unflushed) as stored_in, exists (select from known) as is_known, ${hasHeard} as has_heard`,
};

// The answer names the events that were there. Where none was, those that were inserted are only counted.
const someKnown = {
  name: "insert-events-again",
  text: `
    with ${unflushed}, inserted as (
      insert into event (${columns})
      select * from (${eventRows}) n
      where not ${isOfAnotherDay}
      on conflict do nothing
      returning id, organization_id
    )
    select (select id from unflushed) as stored_in, (
      select json_agg(json_build_object('id', id, 'organization_id', organization_id))
      from unnest($1::uuid[], $2::uuid[]) as n (id, organization_id)
      where (select count(*) from inserted) < cardinality($1::uuid[])
        and (id, organization_id) not in (select id, organization_id from inserted)
    ) as known`,
};
