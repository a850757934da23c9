import type { WebhookFormat } from "../domain/formats/catalogue.ts";
import type { RateLimit } from "../domain/rate-limit.ts";
import type { RetryPolicy } from "../domain/retry.ts";
import type { SecretBox } from "../domain/secret-box.ts";
import type { WebhookStatus } from "../domain/webhook.ts";
import type { SubscriptionRow } from "../store/sql/load-subscriptions.ts";
import type { ShareEqual } from "./share-equal.ts";
import { openSecrets, type SigningKeys, type SigningSecret, sealedSecrets } from "./signing-secret.ts";

/** A webhook as the engine needs it. A process keeps very many: what several have in common is the same object in all of them. */
export interface Subscription {
  webhookId: string;
  organizationId: string;
  /** Exact names, `invoice.*`, `*`. */
  eventTypes: readonly string[];
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
  /** At most so many requests in so many milliseconds; null: no limit. */
  rateLimit: RateLimit | null;
  /** BY_KEY: events with the same ordering key one after the other, in publishing order. */
  ordering: "NONE" | "BY_KEY";
  /** Events received before this time, in milliseconds since the epoch, are not for it. */
  activeSince: number;
  /** Newest first; a replaced one until it expires. */
  secrets: readonly SigningSecret[];
  secretBox: SecretBox;
}

export interface SubscriptionDefaults {
  secretBox: SecretBox;
  /** What holds for webhooks that set none. */
  defaultPolicy: RetryPolicy;
  /** The name that receivers with the CloudEvents handshake know this sender by. */
  requestOrigin: string;
  share: ShareEqual;
}

/** Never throws for one webhook's values: the others of its organization would suffer. A secret is opened when it is needed. */
export function subscriptionOf(
  organizationId: string,
  row: SubscriptionRow,
  defaults: SubscriptionDefaults,
): Subscription {
  const { share } = defaults;
  return {
    webhookId: row.id,
    organizationId,
    eventTypes: share(`types ${row.event_types}`, () => JSON.parse(row.event_types)),
    projectIds: share(`projects ${row.project_ids}`, () => new Set<string>(JSON.parse(row.project_ids))),
    status: share(`status ${row.status}`, () => row.status),
    url: row.url,
    format: share(`format ${row.format}`, () => row.format),
    headers: share(`headers ${row.headers}`, () => JSON.parse(row.headers)),
    configJson: row.config === null ? null : share(`config ${row.config}`, () => row.config),
    disableAfterExhausted: row.disable_after_exhausted,
    requestOrigin: row.verification_method === "CLOUDEVENTS" ? defaults.requestOrigin : undefined,
    policy: policyOf(row, defaults),
    rateLimit: rateLimitOf(row, share),
    ordering: row.ordering === "BY_KEY" ? "BY_KEY" : "NONE",
    activeSince: row.active_since ?? Number.POSITIVE_INFINITY,
    secrets: sealedSecrets(row.secrets),
    secretBox: defaults.secretBox,
  };
}

/** The keys that sign at the time, newest first, or why there are none. */
export function signingKeysAt(subscription: Subscription, now: number): SigningKeys {
  return openSecrets(subscription, now);
}

/** Whether the webhook wants events of this project. The event's type is the index's matter, the time that of `isActiveAt`. */
export function wantsProject({ projectIds }: Subscription, projectId: string | null): boolean {
  return projectIds.size === 0 || (projectId !== null && projectIds.has(projectId));
}

/**
 * Whether an event that was received at this time, in another process perhaps, is for the webhook. Clocks differ by a little, and an event
 * too many from just before the activation does no harm, where one that is missing does.
 */
export function isActiveAt({ activeSince }: Subscription, receivedAt: number): boolean {
  return activeSince <= receivedAt + clockToleranceMs;
}

const clockToleranceMs = 1_000;

function policyOf(row: SubscriptionRow, { share, defaultPolicy }: SubscriptionDefaults): RetryPolicy {
  const { retry_delays_ms, max_attempts, timeout_ms } = row;
  if (retry_delays_ms === null && max_attempts === null && timeout_ms === null) {
    return share("policy", () => ({ ...defaultPolicy, maxAttempts: defaultPolicy.delaysMs.length + 1 }));
  }
  return share(`policy ${retry_delays_ms} ${max_attempts} ${timeout_ms}`, () => {
    const delaysMs: readonly number[] = retry_delays_ms === null ? defaultPolicy.delaysMs : JSON.parse(retry_delays_ms);
    return {
      delaysMs,
      maxAttempts: max_attempts ?? delaysMs.length + 1,
      timeoutMs: timeout_ms ?? defaultPolicy.timeoutMs,
    };
  });
}

function rateLimitOf({ rate_limit_count, rate_limit_period_ms }: SubscriptionRow, share: ShareEqual): RateLimit | null {
  if (rate_limit_count === null || rate_limit_period_ms === null) {
    return null;
  }
  const limit = { count: rate_limit_count, periodMs: rate_limit_period_ms };
  return share(`rate ${limit.count} ${limit.periodMs}`, () => limit);
}
