import pg from "pg";
import { storedAttempts } from "../src/store/sql/stored-attempts.ts";

/**
 * What the tables say of a run. All statements that know the tables stand in this file: they read whole tables, which is well in a run
 * of some ten thousand deliveries.
 */
export interface DatabaseFindings {
  /** What changes while anything goes on. */
  progress(): Promise<Progress>;
  /** Every delivery of the run's events. */
  deliveries(): Promise<FoundDelivery[]>;
  /** Everything about one delivery, for people who look for the reason of what is wrong with it. */
  tellOf(webhookId: string, eventNumber: number): Promise<Record<string, unknown>>;
  /** The lanes as they stand. */
  lanes(): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

export interface Progress {
  events: number;
  finished: number;
  scheduled: number;
  attempts: number;
  /** Messages of the Postgres broker. */
  messages: number;
  /** Lanes that were due some time ago, and that nobody has. */
  forgottenLanes: number;
  /** Lanes that a circuit breaker holds back. */
  openLanes: number;
}

export interface FoundDelivery {
  webhookId: string;
  eventNumber: number;
  status: "SCHEDULED" | "DELIVERED" | "EXHAUSTED" | "CANCELLED";
  attemptCount: number;
  /** How many different numbers its recorded attempts have. */
  recordedAttempts: number;
}

/** Opens the database of a server that is up. */
export async function openDatabaseFindings(url: string): Promise<DatabaseFindings> {
  const pool = new pg.Pool({ connectionString: url, max: 2, connectionTimeoutMillis: 60_000 });
  // A connection that is idle while the server goes down.
  pool.on("error", () => {});
  const query = async <Row>(text: string, values: unknown[] = []): Promise<Row[]> =>
    (await pool.query(text, values)).rows;
  return {
    async progress() {
      const [row] = await query<Progress>(statements.progress);
      if (row === undefined) {
        throw new Error("the question for the progress has no answer");
      }
      return row;
    },
    async deliveries() {
      // Without figures about tables that have just been filled, the joins would be made row by row.
      await query("analyze event, delivery, attempt");
      return await query<FoundDelivery>(statements.deliveries);
    },
    async tellOf(webhookId, eventNumber) {
      const values = [webhookId, `chaos-${eventNumber}`];
      const [event] = await query<Record<string, unknown>>(eventOfNumber, [values[1]]);
      return {
        event: event ?? "not in the database",
        delivery: await query(statements.delivery, values),
        attempts: await query(attemptsOf(statements.delivery), values),
        lane: await query("select * from lane where webhook_id = $1", [webhookId]),
      };
    },
    lanes: () => query("select * from lane order by webhook_id"),
    close: () => pool.end(),
  };
}

/** Nobody has a lane that is due for longer than it takes to be asked for, and its lease, if there was one, has run out. */
const forgotten = `
  select count(*)::int from lane
  where due_at < now() - interval '5 seconds' and (lease_expires_at is null or lease_expires_at < now() - interval '5 seconds')`;

const runEvents =
  "select id, organization_id, substr(external_id, 7)::int as number from event where external_id like 'chaos-%'";

const eventOfNumber = `
  select id, organization_id, type, ordering_key, occurred_at, received_at from event where external_id = $1`;

const attemptsOf = (delivery: string): string => `
  select a.number, a.started_at, a.latency_ms, a.status_code, a.error, a.error_message
  from (${storedAttempts}) a join (${delivery}) d on a.delivery_id = d.id
  order by a.number, a.started_at`;

/** What is still to be sent stands in scheduled_delivery, what is finished in delivery, which may hold its only attempt. */
const statements = {
  progress: `
    select (select count(*)::int from event where external_id like 'chaos-%') as events,
           (select count(*)::int from delivery) as finished,
           (select count(*)::int from scheduled_delivery) as scheduled,
           (select count(*)::int from (${storedAttempts}) a) as attempts,
           (select count(*)::int from broker_message) as messages,
           (${forgotten}) as "forgottenLanes",
           (select count(*)::int from lane where open_until > now()) as "openLanes"`,
  deliveries: `
    select d.webhook_id as "webhookId", e.number as "eventNumber", d.status, d.attempt_count as "attemptCount",
           coalesce(a.count, 0)::int as "recordedAttempts"
    from (select id, organization_id, webhook_id, event_id, status, attempt_count from delivery
          union all
          select id, organization_id, webhook_id, event_id, 'SCHEDULED', attempt_count from scheduled_delivery) d
    join (${runEvents}) e on e.id = d.event_id and e.organization_id = d.organization_id
    left join (select delivery_id, count(distinct number) from (${storedAttempts}) s group by delivery_id) a on a.delivery_id = d.id`,
  delivery: `
    select d.id, d.status, d.attempt_count, null::timestamptz as next_attempt_at, d.created_at, d.completed_at,
           null::text as ordering_key, null::bigint as sequence
    from delivery d join event e on e.id = d.event_id and e.organization_id = d.organization_id
    where d.webhook_id = $1 and e.external_id = $2
    union all
    select d.id, 'SCHEDULED', d.attempt_count, d.next_attempt_at, d.created_at, null, d.ordering_key, d.sequence
    from scheduled_delivery d join event e on e.id = d.event_id and e.organization_id = d.organization_id
    where d.webhook_id = $1 and e.external_id = $2`,
};
