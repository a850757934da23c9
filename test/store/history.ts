import { deliveryIdOf, newUuid } from "../../src/domain/ids.ts";
import type { Sql } from "../../src/store/sql.ts";

export interface History {
  /** The day's first millisecond. */
  day: number;
  webhooks: number;
  /** How many events each webhook gets, spread over the day. */
  events: number;
  /** How many of these deliveries, the newest ones, are still to be sent. */
  scheduled?: number;
  /** Every how manieth of the finished deliveries was exhausted. */
  exhaustedEvery?: number;
  organizationId?: string;
  /** The webhooks' UUIDs; undefined: new ones. */
  webhookIds?: readonly string[];
}

/** Writes the events, deliveries and attempts of a day, as the engine would have. Returns the ids of the deliveries, newest first. */
export async function insertHistory(sql: Sql, history: History): Promise<string[]> {
  const { day, webhooks, events, scheduled = 0, exhaustedEvery = 0 } = history;
  const organizationId = history.organizationId ?? uuidAt(day);
  const webhookIds = history.webhookIds ?? Array.from({ length: webhooks }, () => uuidAt(day));
  const received = Array.from({ length: events }, (_, index) => {
    const at = day + Math.floor((index * 86_400_000) / events);
    return { at, id: uuidAt(at) };
  });
  const deliveries = received
    .flatMap(({ at, id }) =>
      webhookIds.map((webhookId) => ({ at, eventId: id, webhookId, id: deliveryIdOf(id, at, webhookId) })),
    )
    .sort((one, other) => (one.id < other.id ? 1 : -1));
  await sql.query({ name: "", text: insertEvents }, [
    received.map(({ id }) => id),
    received.map(({ at }) => new Date(at).toISOString()),
    organizationId,
  ]);
  const columns = (rows: typeof deliveries) => [
    rows.map(({ id }) => id),
    rows.map(({ webhookId }) => webhookId),
    rows.map(({ eventId }) => eventId),
    rows.map(({ at }) => new Date(at).toISOString()),
    organizationId,
  ];
  await sql.query({ name: "", text: insertScheduled }, columns(deliveries.slice(0, scheduled)));
  const finished = deliveries.slice(scheduled);
  const attemptIds = finished.map(({ at }) => uuidAt(at));
  await sql.query({ name: "", text: insertFinished }, [...columns(finished), exhaustedEvery, attemptIds]);
  return deliveries.map(({ id }) => id);
}

/** The names of the tables of a day (`YYYYMMDD`) that stand in the tables that are partitioned. */
export async function partitionsOf(sql: Sql, day: string): Promise<string[]> {
  const text =
    "select c.relname as name from pg_class c join pg_inherits on inhrelid = c.oid where relkind = 'r' and relname like $1 order by 1";
  return (await sql.query<{ name: string }>({ name: "", text }, [`%\\_${day}`])).map(({ name }) => name);
}

function uuidAt(ms: number): string {
  return newUuid({ now: () => ms, randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)) });
}

const insertEvents = `
  insert into event (id, organization_id, type, data_json, occurred_at, received_at)
  select id, $3::uuid, 'a', '{}', at, at from unnest($1::uuid[], $2::timestamptz[]) as e (id, at)`;

const insertScheduled = `
  insert into scheduled_delivery (id, organization_id, webhook_id, event_id, event_type, attempt_count, next_attempt_at,
                                  last_status_code, created_at)
  select id, $5::uuid, webhook_id, event_id, 'a', 1, now(), 500, at
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[]) as d (id, webhook_id, event_id, at)`;

// A delivery that arrived holds its attempt; that of one that was exhausted stands by itself.
const insertFinished = `
  with finished as (
    select *, case when $6::integer > 0 and place % nullif($6::integer, 0) = 0 then 'EXHAUSTED' else 'DELIVERED' end as status
    from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $7::uuid[]) with ordinality
         as d (id, webhook_id, event_id, at, attempt_id, place)
  ), exhausted as (
    insert into attempt (id, delivery_id, number, trigger, started_at, latency_ms, status_code, error, error_message, response_body, url)
    select attempt_id, id, 1, 'SCHEDULE', at, 5, 500, 'STATUS', 'the receiver answered 500', '', 'https://example.com/'
    from finished where status = 'EXHAUSTED'
  ), written as (
    insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
                          last_status_code, created_at, completed_at)
    select id, $5::uuid, webhook_id, event_id, 'a', 'EXHAUSTED', '', 1, 500, at, at from finished where status = 'EXHAUSTED'
  )
  insert into delivery (id, organization_id, webhook_id, event_id, event_type, status, status_reason, attempt_count,
                        last_status_code, created_at, completed_at, attempt_id, attempt_started_at, attempt_latency_ms,
                        attempt_status_code, attempt_response_body, attempt_url)
  select id, $5::uuid, webhook_id, event_id, 'a', 'DELIVERED', '', 1, 200, at, at, attempt_id, at, 5, 200, 'ok', 'https://example.com/'
  from finished where status = 'DELIVERED'`;
