import type { WebhookFormat } from "../../domain/formats/catalogue.ts";
import type { VerificationMethod, WebhookStatus } from "../../domain/webhook.ts";
import type { Sql } from "../sql.ts";

/** What the delivery engine knows of a webhook. Times in milliseconds since the epoch. */
export interface SubscriptionRow {
  id: string;
  organization_id: string;
  /** A JSON array as text, as are the event types: what many webhooks have in common is parsed once for all of them. */
  project_ids: string;
  url: string;
  event_types: string;
  status: WebhookStatus;
  format: WebhookFormat;
  /** JSON text, as are the next two. */
  headers: string;
  config: string | null;
  retry_delays_ms: string | null;
  disable_after_exhausted: number | null;
  max_attempts: number | null;
  timeout_ms: number | null;
  rate_limit_count: number | null;
  rate_limit_period_ms: number | null;
  ordering: "NONE" | "BY_KEY";
  verification_method: VerificationMethod;
  active_since: number | null;
  /**
   * The sealed secrets, newest first, separated by commas: the bytes in base64 and, of one that is replaced, a space and when it stops signing.
   * Null where there is none. One text, because an array of bytea costs more to parse than all the rest of the row.
   */
  secrets: string | null;
}

/**
 * The webhooks that collect events, by their organization; of each at most `maxEach`. An organization that does not exist is missing from the
 * answer.
 */
export async function loadSubscriptions(
  sql: Sql,
  organizationIds: readonly string[],
  maxEach: number | null = null,
): Promise<Map<string, SubscriptionRow[]>> {
  const parameters = [organizationIds, maxEach];
  const rows = await sql.query<SubscriptionRow | { id: null; organization_id: string }>(statement, parameters);
  const byOrganization = new Map<string, SubscriptionRow[]>();
  for (const row of rows) {
    let webhooks = byOrganization.get(row.organization_id);
    if (webhooks === undefined) {
      webhooks = [];
      byOrganization.set(row.organization_id, webhooks);
    }
    if (row.id !== null) {
      webhooks.push(row);
    }
  }
  return byOrganization;
}

// Index: the organization's primary key, webhook_organization, webhook_secret_webhook. Run when webhooks of these organizations are first
// needed, changed, or old in memory; the cost is that of the webhooks.
const statement = {
  name: "load-subscriptions",
  text: `
    select o.id as organization_id, w.id, array_to_json(w.project_ids)::text as project_ids, w.url,
           array_to_json(w.event_types)::text as event_types, w.status, w.format, w.headers::text as headers, w.config::text as config,
           w.disable_after_exhausted, w.retry_delays_ms::text as retry_delays_ms, w.max_attempts, w.timeout_ms,
           w.rate_limit_count, w.rate_limit_period_ms, w.ordering, w.verification_method,
           (extract(epoch from w.active_since) * 1000)::float8 as active_since,
           (select string_agg(encode(s.sealed, 'base64') || coalesce(' ' || (extract(epoch from s.expires_at) * 1000)::float8, ''), ','
                              order by s.created_at desc, s.id desc)
            from webhook_secret s where s.webhook_id = w.id) as secrets
    from organization o
    left join lateral (
      select * from webhook where organization_id = o.id and status in ('ACTIVE', 'PAUSED') limit $2::bigint
    ) w on true
    where o.id = any($1::uuid[])`,
};
