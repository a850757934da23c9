import { z } from "zod";
import type { WebhookStatus } from "../../domain/webhook.ts";
import type { WebhookRecord } from "../../usecases/webhook-record.ts";
import { generationOf, layerVersions, propertyNames } from "./layer-generation.ts";

/** A webhook as Layer's clients read it, in the generation that it was registered with. The secret is never in it. */
export function layerWebhook({ webhook }: WebhookRecord, publicUrl: string): LayerWebhook {
  const { id, organizationId, url, eventTypes, statusReason, createdAt, config } = webhook;
  const path = `/apps/${organizationId}/webhooks/${id}`;
  const generation = generationOf(webhook.format) ?? "pre-release";
  const names = propertyNames(generation);
  const status = statuses[webhook.status];
  return {
    id: `layer://${path}`,
    url: `${publicUrl}${path}`,
    ...(generation === "pre-release" ? {} : { version: generation }),
    target_url: url,
    [names.eventTypes]: eventTypes,
    status,
    ...(status === "inactive" ? { status_reason: statusReason } : {}),
    created_at: createdAt.toISOString().replace(/\.\d+Z$/, "Z"),
    ...(config ? { [names.config]: config } : {}),
  };
}

/** The answer's schema: `version`, `events` and `config` in 1.0 to 3.0, `event_types` and `target_config` in the pre-release generation. */
export const layerWebhookSchema = z.object({
  id: z.string().describe("layer:///apps/{app}/webhooks/{webhook}"),
  url: z.string().describe("Where the webhook is read, changed and deleted."),
  version: z.enum(layerVersions).optional(),
  target_url: z.string(),
  events: z.array(z.string()).optional(),
  event_types: z.array(z.string()).optional(),
  status: z.enum(["active", "inactive", "unverified"]),
  status_reason: z.string().optional().describe("Why the webhook is inactive."),
  created_at: z.string().describe("ISO 8601 in UTC, such as 2015-03-14T13:37:27Z."),
  config: z.record(z.string(), z.unknown()).optional(),
  target_config: z.record(z.string(), z.unknown()).optional(),
});

export type LayerWebhook = z.output<typeof layerWebhookSchema>;

/** Layer knows no pause: whatever gets no events, although it could, is inactive. */
const statuses = {
  ACTIVE: "active",
  UNVERIFIED: "unverified",
  PAUSED: "inactive",
  DISABLED: "inactive",
} as const satisfies Record<WebhookStatus, LayerWebhook["status"]>;
