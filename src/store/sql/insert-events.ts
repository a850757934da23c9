import type { EventRecord } from "../../domain/event.ts";
import { textArray, timestamptzArray, uuidArray } from "../binary-arrays.ts";
import type { Sql, Statement } from "../sql.ts";

/**
 * Writes events, payload included, and returns the keys (`eventKey`) of those that were there before. An id that the organization has used since
 * `rememberedSince` changes nothing: the first event stands. `oldestPublishedAt`: of these events, when the broker took the first; one that comes
 * again is known for as long as the broker held it.
 */
export async function insertEvents(
  sql: Sql,
  records: readonly EventRecord[],
  receivedAt: Date,
  oldestPublishedAt: Date = receivedAt,
): Promise<ReadonlySet<string>> {
  const events = inOneOrder(records);
  const dayBegan = receivedAt.getTime() - (receivedAt.getTime() % dayMs);
  const rows = await insertIn(sql, receivedAt, [
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
  ]);
  return new Set(rows.map((row) => eventKey(row.organization_id, row.id)));
}

/** By everybody, so that two statements with the same events, in two processes or in one, never wait for each other in a ring. */
function inOneOrder(events: readonly EventRecord[]): EventRecord[] {
  return events.toSorted((one, other) => {
    if (one.id !== other.id) return one.id < other.id ? -1 : 1;
    return one.organizationId < other.organizationId ? -1 : 1;
  });
}

interface KnownRow {
  id: string;
  organization_id: string;
}

/**
 * Around midnight (UTC) two processes may write to different days, whose indexes do not know of each other: there they insert one after the other, so
 * that each sees what the other one wrote.
 */
async function insertIn(sql: Sql, receivedAt: Date, parameters: readonly unknown[]): Promise<KnownRow[]> {
  const sinceMidnight = receivedAt.getTime() % dayMs;
  if (Math.min(sinceMidnight, dayMs - sinceMidnight) > clockToleranceMs) {
    return await sql.query<KnownRow>(statement, parameters);
  }
  return await sql.transaction(async (transaction) => {
    await transaction.query(lockMidnight, []);
    return await transaction.query<KnownRow>(statement, parameters);
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

const dayMs = 24 * 60 * 60_000;
const clockToleranceMs = 60_000;

/** Held until the transaction ends. The numbers mean nothing but "Tellwire" and "its midnight". */
const lockMidnight = { name: "lock-midnight", text: "select pg_advisory_xact_lock(1952803948, 2)" };

// Cost: one row and two index entries for each event, one statement for each batch. The unique index of today's partition finds what came today;
// that of yesterday's partition, and of the others that are remembered, is asked by `not exists`: as a rule one look for each event. A process
// whose clock is ahead may be in tomorrow already. `offset 0` has the question asked by index for each event: as a join, it may read the whole
// partition while the database has no statistics of it. The answer names the events that were there, which are none as a rule: then they are
// only counted.
const statement: Statement = {
  name: "insert-events",
  plannedOnce: true,
  text: `
    with inserted as (
      insert into event (id, organization_id, external_id, type, data_json, source, subject, project_id, ordering_key, traceparent,
                         occurred_at, received_at)
      select n.*, $12::timestamptz
      from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                  $10::text[], $11::timestamptz[])
        as n (id, organization_id, external_id, type, data_json, source, subject, project_id, ordering_key, traceparent, occurred_at)
      where not exists (
        select from event e
        where e.id = n.id and e.organization_id = n.organization_id
          and e.received_at >= $13::timestamptz and e.received_at < $16::timestamptz
          and (e.received_at < $14::timestamptz or e.received_at >= $15::timestamptz)
        offset 0
      )
      on conflict do nothing
      returning id, organization_id
    )
    select id, organization_id from unnest($1::uuid[], $2::uuid[]) as n (id, organization_id)
    where (select count(*) from inserted) < cardinality($1::uuid[])
      and (id, organization_id) not in (select id, organization_id from inserted)`,
};
