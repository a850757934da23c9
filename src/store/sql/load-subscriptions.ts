import type { WebhookFormat } from "../../domain/formats/catalogue.ts";
import type { VerificationMethod, WebhookStatus } from "../../domain/webhook.ts";
import type { Sql } from "../sql.ts";

/** What the delivery engine knows of a webhook. Times in milliseconds since the epoch. */
export interface SubscriptionRow {
  id: string;
  project_ids: string[];
  url: string;
  event_types: string[];
  status: WebhookStatus;
  format: WebhookFormat;
  headers: Record<string, string>;
  /** JSON text. */
  config: string | null;
  disable_after_exhausted: number | null;
  retry_delays_ms: number[] | null;
  max_attempts: number | null;
  timeout_ms: number | null;
  verification_method: VerificationMethod;
  active_since: number | null;
  /** Sealed secrets, newest first. */
  secrets: Uint8Array[];
  /** When each of them stops signing; null: never. */
  secret_expiries: (number | null)[];
}

/** The webhooks of an organization that collect events; undefined where there is no such organization. */
export async function loadSubscriptions(sql: Sql, organizationId: string): Promise<SubscriptionRow[] | undefined> {
  const rows = await sql.query<SubscriptionRow | { id: null }>(statement, [organizationId]);
  if (rows.length === 0) {
    return undefined;
  }
  return rows.filter((row) => row.id !== null);
}

// Index: webhook_organization, webhook_secret_webhook. Run when an organization's webhooks are first needed, changed, or old in memory.
const statement = {
  name: "load-subscriptions",
  text: `
    select w.id, w.project_ids, w.url, w.event_types, w.status, w.format, w.headers, w.config::text as config,
           w.disable_after_exhausted, w.retry_delays_ms, w.max_attempts, w.timeout_ms,
           w.verification_method, (extract(epoch from w.active_since) * 1000)::float8 as active_since,
           array(select s.sealed from webhook_secret s where s.webhook_id = w.id order by s.created_at desc, s.id desc) as secrets,
           array(select (extract(epoch from s.expires_at) * 1000)::float8 from webhook_secret s where s.webhook_id = w.id
                 order by s.created_at desc, s.id desc) as secret_expiries
    from organization o
    left join webhook w on w.organization_id = o.id and w.status in ('ACTIVE', 'PAUSED')
    where o.id = $1`,
};
