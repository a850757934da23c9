import type { DisabledWebhook } from "../../domain/operational-event.ts";
import type { Sql } from "../sql.ts";

/** A webhook that is to be disabled. */
export interface Disabling {
  webhookId: string;
  organizationId: string;
  reason: string;
  /** Only if this many deliveries, the newest finished ones, are all exhausted. 0 or 1: in any case. */
  afterExhausted: number;
}

/**
 * Disables a webhook that is ACTIVE, in the transaction that recorded why; the engine of every process hears of it. Returns undefined where it stays
 * as it is. Wake its lane after that, so that what waits is cancelled.
 */
export async function disableWebhook(transaction: Sql, disabling: Disabling): Promise<DisabledWebhook | undefined> {
  const { webhookId, organizationId, reason, afterExhausted } = disabling;
  const parameters = [webhookId, reason, organizationId, afterExhausted];
  if (afterExhausted > 1) await transaction.query(lock, [webhookId]);
  const [disabled] = await transaction.query<{ version: number; at: number }>(disable, parameters);
  return disabled && { webhookId, organizationId, reason, ...disabled };
}

// One row by its key. Whoever else has just given up a delivery of the webhook is waited for: only a statement that begins after that one's commit sees
// its delivery, and of two that count at once both might miss the last one that is needed.
const lock = { name: "lock-webhook-to-disable", text: "select from webhook where id = $1 for no key update" };

// One row by its key, and as many entries of delivery_webhook as the count asks for, whose ids are in the order of the events' receipt.
// Deliveries that were finished before the webhook was last activated, or its count set back, do not count.
const disable = {
  name: "disable-webhook",
  text: `
    with disabled as (
      update webhook set status = 'DISABLED', status_reason = $2, version = version + 1, updated_at = now()
      where id = $1 and status = 'ACTIVE' and ($4::integer <= 1 or $4::integer = (
        select count(*) filter (where newest.status = 'EXHAUSTED') from (
          select d.status from delivery d
          where d.webhook_id = $1 and d.status in ('DELIVERED', 'EXHAUSTED') and d.completed_at >=
            greatest(webhook.active_since, (select h.exhausted_since from webhook_health h where h.webhook_id = $1))
          order by d.id desc
          limit $4::integer
        ) newest
      ))
      returning id, version, updated_at
    ), told as (
      select pg_notify('tellwire_webhooks', $3::text) from disabled
    )
    select version, floor(extract(epoch from updated_at) * 1000)::float8 as at from disabled, told`,
};
