import { z } from "zod";
import type { WebhookStatus } from "../../domain/webhook.ts";
import type { WebhookRecord } from "../../usecases/webhook-record.ts";

export const endpointStatuses = ["active", "paused", "auto_paused"] as const;

export type EndpointStatus = (typeof endpointStatuses)[number];

const time = z.iso.datetime({ precision: 3 });

/** An endpoint as answers show it. */
export const endpointBody = z.object({
  id: z.guid(),
  organizationId: z.guid(),
  projectId: z.string().nullable().describe("null: events of the whole organization."),
  url: z.string(),
  description: z.string().nullable(),
  status: z.enum(endpointStatuses).describe("auto_paused: after 20 failed deliveries in a row."),
  events: z.array(z.string()),
  apiVersion: z.literal("v1"),
  createdAt: time,
  updatedAt: time,
  lastSuccessAt: time.nullable(),
  lastFailureAt: time.nullable(),
  consecutiveFailureCount: z.int().min(0).describe("Failed deliveries since the last one that arrived."),
});

/** The endpoint that a webhook is. Of several projects, which only the native API can give it, the first is shown. */
export function endpointOf({ webhook, health }: WebhookRecord): z.input<typeof endpointBody> {
  return {
    id: webhook.id,
    organizationId: webhook.organizationId,
    projectId: webhook.projectIds[0] ?? null,
    url: webhook.url,
    description: webhook.description === "" ? null : webhook.description,
    status: statusOf[webhook.status],
    events: webhook.eventTypes,
    apiVersion: "v1",
    createdAt: webhook.createdAt.toISOString(),
    updatedAt: webhook.updatedAt.toISOString(),
    lastSuccessAt: health?.lastSuccessAt?.toISOString() ?? null,
    lastFailureAt: health?.lastFailureAt?.toISOString() ?? null,
    consecutiveFailureCount: health?.consecutiveExhausted ?? 0,
  };
}

/** UNVERIFIED is for webhooks that the native API made: they wait, as paused ones do. */
export const statusOf: Readonly<Record<WebhookStatus, EndpointStatus>> = {
  ACTIVE: "active",
  PAUSED: "paused",
  UNVERIFIED: "paused",
  DISABLED: "auto_paused",
};

/** The statuses that are shown as this one. */
export function statusesShownAs(status: EndpointStatus): WebhookStatus[] {
  return (Object.keys(statusOf) as WebhookStatus[]).filter((native) => statusOf[native] === status);
}
