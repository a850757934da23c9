import { webhookDisabledEntry } from "../../domain/audit-entry.ts";
import { webhookDisabled } from "../../domain/operational-event.ts";
import type { Sql } from "../sql.ts";
import { insertAuditEntries } from "./insert-audit-entries.ts";
import { insertOperationalEvents } from "./insert-operational-events.ts";

/** A webhook whose attempts have done nothing but fail. Times in milliseconds since the epoch. */
interface FailingWebhook {
  id: string;
  organizationId: string;
  failingSince: number;
  lastError: string;
}

/**
 * Disables ACTIVE webhooks of which nothing but failures is known over the time: the first one and the last one lie that far apart, with no
 * success in between. What waits for them is cancelled by the workers of their lanes, and their organizations are told. At most `limit` in
 * one transaction; returns how many there were.
 */
export async function disableFailingWebhooks(
  sql: Sql,
  { now, afterMs, limit }: { now: number; afterMs: number; limit: number },
): Promise<number> {
  return await sql.transaction(async (transaction) => {
    const failing = await transaction.query<FailingWebhook>(find, [isoTime(now - afterMs), afterMs, limit]);
    for (const webhook of failing) {
      await disableOne(transaction, webhook, { now, afterMs });
    }
    return failing.length;
  });
}

async function disableOne(
  transaction: Sql,
  { id, organizationId, failingSince, lastError }: FailingWebhook,
  { now, afterMs }: { now: number; afterMs: number },
): Promise<void> {
  const why = lastError === "" ? "" : `; the last one: ${lastError}`;
  const reason = `every attempt has failed since ${isoTime(failingSince)}, for ${durationText(afterMs)} or longer${why}`;
  const [row] = await transaction.query<{ version: number }>(disable, [id, reason, isoTime(now), organizationId]);
  if (row === undefined) return;
  const disabled = { webhookId: id, organizationId, reason, version: row.version, at: now };
  await insertOperationalEvents(transaction, [webhookDisabled(disabled)]);
  await insertAuditEntries(transaction, [webhookDisabledEntry(disabled, "failing-webhook-worker")]);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** `5 days`, `36 hours`, `90 minutes` or `30 seconds`: the largest unit in which it is a whole number. */
function durationText(ms: number): string {
  for (const [unit, unitMs] of units) {
    const count = ms / unitMs;
    if (Number.isInteger(count)) return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }
  return `${ms} milliseconds`;
}

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
] as const;

// What failed before the webhook was last switched on, or had another URL, does not count. Index: webhook_health_failing, those that have failed for so long alone; the webhook by its key. Those that another process is at are left to it.
const find = {
  name: "find-failing-webhooks",
  text: `
    select w.id, w.organization_id as "organizationId", (extract(epoch from h.failing_since) * 1000)::float8 as "failingSince",
           h.last_error as "lastError"
    from webhook_health h join webhook w on w.id = h.webhook_id
    where h.failing_since <= $1::timestamptz
      and h.last_failure_at - greatest(h.failing_since, w.active_since) >= $2::double precision * interval '1 millisecond'
      and w.status = 'ACTIVE'
    order by w.id
    limit $3
    for no key update of w skip locked`,
};

// One row by its key. A lane that is not there is made, as whenever a status changes: who schedules a delivery meanwhile waits for its row.
const disable = {
  name: "disable-failing-webhook",
  text: `
    with disabled as (
      update webhook set status = 'DISABLED', status_reason = $2, version = version + 1, updated_at = $3::timestamptz
      where id = $1::uuid and status = 'ACTIVE'
      returning id, version
    ), woken as (
      insert into lane (webhook_id, due_at) select id, now() from disabled
      on conflict (webhook_id) do update set due_at = least(lane.due_at, excluded.due_at)
      returning webhook_id
    ), told as (
      select pg_notify('tellwire_webhooks', $4::text), pg_notify('tellwire_lanes', '') from woken
    )
    select version from disabled, told`,
};
