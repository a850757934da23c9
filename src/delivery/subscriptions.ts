import type { KeyObject } from "node:crypto";
import { LRUCache } from "lru-cache";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import { createTypeIndex, type TypeIndex } from "../domain/matching.ts";
import type { RetryPolicy } from "../domain/retry.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { WebhookStatus } from "../domain/webhook.ts";
import { TellwireError } from "../errors.ts";
import { loadSubscriptions, type SubscriptionRow } from "../store/sql/load-subscriptions.ts";
import type { Sql } from "../store/sql.ts";

/**
 * The webhooks that collect events, in memory, an organization at a time: loaded when first needed, dropped when somebody says that they
 * changed, and read again after `maxAgeMs` in any case.
 */
export interface Subscriptions {
  /** Undefined where there is no such organization. */
  of(organizationId: string): Promise<OrganizationSubscriptions | undefined>;
  /** What is read from now on is at least as new as this call. */
  invalidate(organizationId: string): void;
  invalidateAll(): void;
}

export interface OrganizationSubscriptions {
  byEventType: TypeIndex<Subscription>;
  byId: ReadonlyMap<string, Subscription>;
}

/** A webhook as the engine needs it. */
export interface Subscription {
  webhookId: string;
  organizationId: string;
  /** Empty: every project. */
  projectIds: ReadonlySet<string>;
  status: WebhookStatus;
  url: string;
  format: WebhookFormat;
  headers: Readonly<Record<string, string>>;
  configJson: string | null;
  /** After how many exhausted deliveries in a row it is disabled; null: never. */
  disableAfterExhausted: number | null;
  /** Sent with each request to receivers that were verified by the CloudEvents handshake. */
  requestOrigin: string | undefined;
  policy: RetryPolicy;
  /** Events received before this time, in milliseconds since the epoch, are not for it. */
  activeSince: number;
  /** Newest first; a replaced one until `expiresAt`. */
  secrets: readonly { key: KeyObject; expiresAt: number | null }[];
}

export interface SubscriptionsOptions {
  sql: Sql;
  secretBox: SecretBox;
  /** What holds for webhooks that set none. */
  defaultPolicy: RetryPolicy;
  /** The name that receivers with the CloudEvents handshake know this sender by. */
  requestOrigin: string;
  maxAgeMs: number;
  maxOrganizations: number;
}

export function createSubscriptions(options: SubscriptionsOptions): Subscriptions {
  const loads = new LRUCache<string, Promise<OrganizationSubscriptions | undefined>>({
    max: options.maxOrganizations,
    ttl: options.maxAgeMs,
  });

  /** Failures are not kept, nor is the word that an organization does not exist: it may be created the next moment. */
  const load = (organizationId: string): Promise<OrganizationSubscriptions | undefined> => {
    const loading = read(options, organizationId);
    loads.set(organizationId, loading);
    const forget = () => {
      if (loads.peek(organizationId) === loading) {
        loads.delete(organizationId);
      }
    };
    loading.then((found) => found ?? forget(), forget);
    return loading;
  };

  return {
    of: (organizationId) => loads.get(organizationId) ?? load(organizationId),
    invalidate: (organizationId) => void loads.delete(organizationId),
    invalidateAll: () => loads.clear(),
  };
}

/** The keys that sign at the time, newest first. */
export function signingKeysAt({ secrets }: Subscription, now: number): KeyObject[] {
  return secrets.filter(({ expiresAt }) => expiresAt === null || expiresAt > now).map(({ key }) => key);
}

/** Whether the webhook wants an event of this project, received at this time. The event's type is the index's matter. */
export function wants(subscription: Subscription, projectId: string | null, receivedAt: number): boolean {
  const { projectIds, activeSince } = subscription;
  return activeSince <= receivedAt && (projectIds.size === 0 || (projectId !== null && projectIds.has(projectId)));
}

async function read(
  options: SubscriptionsOptions,
  organizationId: string,
): Promise<OrganizationSubscriptions | undefined> {
  const rows = await loadSubscriptions(options.sql, organizationId);
  if (rows === undefined) {
    return undefined;
  }
  const entries = rows.map((row) => ({
    eventTypes: row.event_types,
    subscription: subscriptionOf(row, organizationId, options),
  }));
  return {
    byEventType: createTypeIndex(entries),
    byId: new Map(entries.map(({ subscription }) => [subscription.webhookId, subscription])),
  };
}

function subscriptionOf(
  row: SubscriptionRow,
  organizationId: string,
  { secretBox, defaultPolicy, requestOrigin }: SubscriptionsOptions,
): Subscription {
  const delaysMs = row.retry_delays_ms ?? defaultPolicy.delaysMs;
  return {
    webhookId: row.id,
    organizationId,
    projectIds: new Set(row.project_ids),
    status: row.status,
    url: row.url,
    format: row.format,
    headers: row.headers,
    configJson: row.config,
    disableAfterExhausted: row.disable_after_exhausted,
    requestOrigin: row.verification_method === "CLOUDEVENTS" ? requestOrigin : undefined,
    policy: {
      delaysMs,
      maxAttempts: row.max_attempts ?? delaysMs.length + 1,
      timeoutMs: row.timeout_ms ?? defaultPolicy.timeoutMs,
    },
    activeSince: row.active_since ?? Number.POSITIVE_INFINITY,
    secrets: row.secrets.map((sealed, index) => ({
      key: signingKey(row, secretBox.open(sealed, row.id)),
      expiresAt: row.secret_expiries[index] ?? null,
    })),
  };
}

function signingKey({ id, format }: SubscriptionRow, secret: string): KeyObject {
  const parsed = formatOf(format).parseSecret(secret);
  if (parsed.kind === "refused") {
    throw new TellwireError("INTERNAL", `the stored secret of webhook ${id} ${parsed.reason}`);
  }
  return parsed.key;
}
