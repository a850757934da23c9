import type { Sql } from "../sql.ts";

/** A circuit breaker that opened until the time, in milliseconds since the epoch, or closed (null). `opened`: how often in a row. */
export interface BreakerRecord {
  webhookId: string;
  openUntil: number | null;
  opened: number;
}

/** The channel on which processes tell each other of breakers. */
export const breakerChannel = "tellwire_breakers";

/** Writes a breaker into its webhook's lane, which is due not before the breaker's time, and tells every process. */
export async function writeBreaker(sql: Sql, { webhookId, openUntil, opened }: BreakerRecord): Promise<void> {
  const notice = `${webhookId} ${openUntil ?? 0} ${opened}`;
  if (openUntil === null) {
    await sql.query(close, [webhookId, breakerChannel, notice]);
  } else {
    await sql.query(open, [webhookId, new Date(openUntil).toISOString(), opened, breakerChannel, notice]);
  }
}

/** What `writeBreaker` tells; undefined where the payload is not of this form. */
export function parseBreakerNotice(payload: string): BreakerRecord | undefined {
  const [webhookId, openUntil, opened] = payload.split(" ");
  if (webhookId === undefined || openUntil === undefined || opened === undefined) {
    return undefined;
  }
  return { webhookId, openUntil: Number(openUntil) || null, opened: Number(opened) };
}

// Index: the primary key. A webhook without a lane gets one: it goes by itself when its time has come and nothing waits in it.
const open = {
  name: "open-breaker",
  text: `
    with written as (
      insert into lane as l (webhook_id, due_at, open_until, opened) values ($1::uuid, $2::timestamptz, $2::timestamptz, $3::integer)
      on conflict (webhook_id) do update
      set open_until = excluded.open_until, opened = excluded.opened, due_at = greatest(l.due_at, excluded.open_until)
      returning webhook_id
    )
    select pg_notify($4::text, $5::text) from written`,
};

// Index: the primary key. The lane is due now, whatever it waited for: who claims it finds out when it is due in truth.
const close = {
  name: "close-breaker",
  text: `
    with written as (
      update lane
      set open_until = null, opened = 0, due_at = case when due_at = 'infinity' then due_at else least(due_at, now()) end
      where webhook_id = $1::uuid
    )
    select pg_notify($2::text, $3::text)`,
};
