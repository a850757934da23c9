import { int8Array, textArray, uuidArray } from "../binary-arrays.ts";
import type { Sql } from "../sql.ts";

/** How many events an organization published on a day of UTC, written as `2026-05-01`. */
export interface PublishedEvents {
  organizationId: string;
  day: string;
  events: number;
}

/**
 * Adds to the counts, each organization and day at most once, and returns what they come to: those of all processes so far. A count of 0 adds
 * nothing, and asks; one below 0 takes back.
 */
export async function addPublishedEvents(sql: Sql, counts: readonly PublishedEvents[]): Promise<PublishedEvents[]> {
  return await sql.query<PublishedEvents>(upsert, [
    uuidArray(counts, ({ organizationId }) => organizationId),
    textArray(counts, ({ day }) => day),
    int8Array(counts, ({ events }) => events),
  ]);
}

/** What the organization published on the days from `since` on, the last day first. */
export async function publishedEventsSince(
  sql: Sql,
  organizationId: string,
  since: string,
): Promise<PublishedEvents[]> {
  return await sql.query<PublishedEvents>(read, [organizationId, since]);
}

/** Removes the counts of the days before. */
export async function removePublishedEvents(sql: Sql, before: string): Promise<void> {
  await sql.query(remove, [before]);
}

// Index: the primary key. About once a second in each process, for all organizations that published; one order for all, so that two processes
// never wait for each other in a ring.
const upsert = {
  name: "add-published-events",
  text: `
    insert into published_events as p (organization_id, day, events)
    select c.organization_id, c.day, c.events
    from (select unnest($1::uuid[]) as organization_id, unnest($2::text[])::date as day, unnest($3::bigint[]) as events) c
    order by c.organization_id, c.day
    on conflict (organization_id, day) do update set events = greatest(0, p.events + excluded.events)
    returning organization_id as "organizationId", day::text as day, events::float8 as events`,
};

// Index: the primary key.
const read = {
  name: "published-events-since",
  text: `
    select organization_id as "organizationId", day::text as day, events::float8 as events from published_events
    where organization_id = $1::uuid and day >= $2::date
    order by day desc`,
};

// Index: published_events_day. Once an hour.
const remove = { name: "remove-published-events", text: "delete from published_events where day < $1::date" };
