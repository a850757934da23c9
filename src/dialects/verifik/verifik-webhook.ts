import { z } from "zod";
import { maskedHeaders } from "../../domain/masked-headers.ts";
import type { RetryPolicy } from "../../domain/retry.ts";
import type { WebhookRecord } from "../../usecases/webhook-record.ts";

const time = z.iso.datetime().describe("ISO 8601, in seconds, UTC.");
const milliseconds = z.int().nonnegative();

const statistics = z.union([
  z.strictObject({}),
  z.object({
    totalRequests: z.int(),
    successfulRequests: z.int(),
    failedRequests: z.int(),
    lastTriggered: time,
  }),
]);

/** A webhook as this system shows it. */
export const verifikWebhook = z.object({
  _id: z.uuid(),
  client: z.uuid().describe("The organization's id."),
  projectFlow: z.array(z.string()).describe("What `link` set."),
  statistics: statistics.describe("Empty until the first delivery."),
  isActive: z.boolean(),
  name: z.string(),
  url: z.url(),
  description: z.string(),
  events: z.array(z.string()).describe('`["*"]`: every event.'),
  secret: z.string().optional().describe("Not in lists, and only for keys that may replace it."),
  retryPolicy: z.object({ maxRetries: z.int(), retryDelay: milliseconds, timeout: milliseconds }),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .describe("Sent with each notification; secrets are shown as ********. Not in the answer to a creation."),
  createdAt: time,
  updatedAt: time,
});

export type VerifikWebhook = z.output<typeof verifikWebhook>;

/** Writes a webhook, in the order of the system's documents. `defaultPolicy` is the server's, for webhooks that were given none. */
export function toVerifikWebhook(
  { webhook, health }: WebhookRecord,
  { secret, defaultPolicy }: { secret?: string | undefined; defaultPolicy: RetryPolicy },
): VerifikWebhook {
  return {
    _id: webhook.id,
    client: webhook.organizationId,
    projectFlow: webhook.projectIds,
    statistics: statisticsOf(health),
    isActive: webhook.status === "ACTIVE",
    name: webhook.name ?? "",
    url: webhook.url,
    description: webhook.description,
    events: webhook.eventTypes,
    ...(secret === undefined ? {} : { secret }),
    retryPolicy: retryPolicyOf(webhook, defaultPolicy),
    headers: maskedHeaders(webhook.headers),
    createdAt: secondsOf(webhook.createdAt),
    updatedAt: secondsOf(webhook.updatedAt),
  };
}

function statisticsOf(health: WebhookRecord["health"]): VerifikWebhook["statistics"] {
  const last = Math.max(health?.lastSuccessAt?.getTime() ?? 0, health?.lastFailureAt?.getTime() ?? 0);
  if (health === undefined || health.totalAttempts === 0 || last === 0) {
    return {};
  }
  return {
    totalRequests: health.totalAttempts,
    successfulRequests: health.totalAttempts - health.failedAttempts,
    failedRequests: health.failedAttempts,
    lastTriggered: secondsOf(new Date(last)),
  };
}

/** The one delay that this system knows is the first one. */
function retryPolicyOf(webhook: WebhookRecord["webhook"], defaultPolicy: RetryPolicy): VerifikWebhook["retryPolicy"] {
  const delays = webhook.retryDelaysMs ?? defaultPolicy.delaysMs;
  return {
    maxRetries: (webhook.maxAttempts ?? delays.length + 1) - 1,
    retryDelay: delays[0] ?? 0,
    timeout: webhook.timeoutMs ?? defaultPolicy.timeoutMs,
  };
}

/** The documents write times without fractions of a second. */
function secondsOf(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
