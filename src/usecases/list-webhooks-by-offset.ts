import type { WebhookFormat } from "../domain/formats/catalogue.ts";
import type { WebhookStatus } from "../domain/webhook.ts";
import { WebhookEntity } from "../store/entities/webhook.ts";
import { organizationOf, type Principal } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { visibleWebhooks } from "./projects.ts";
import { recordFor, type WebhookRecord, webhookRecords } from "./webhook-record.ts";

/**
 * One page of webhooks, newest first, with how many there are in all, for systems whose callers jump to a page by its number. Webhooks that
 * are created or deleted between two pages shift what follows; `list` with its page tokens does not have that.
 */
export type ListWebhooksByOffset = (
  principal: Principal,
  filters: OffsetFilters,
  range: { offset: number; limit: number },
) => Promise<{ records: WebhookRecord[]; total: number }>;

export interface OffsetFilters {
  organizationId: string | undefined;
  /** At least one. */
  formats: readonly WebhookFormat[];
  /** Empty: all. */
  statuses: readonly WebhookStatus[];
  /** Only webhooks that name this project; empty: all. */
  projectId: string;
}

export function createListWebhooksByOffset(
  { database }: Dependencies,
  organizations: Organizations,
): ListWebhooksByOffset {
  return async (principal, { organizationId: requested, formats, statuses, projectId }, { offset, limit }) => {
    const organizationId = organizationOf(principal, requested);
    if (organizationId !== undefined) await organizations.require(organizationId);
    const em = database.em();
    // Index: webhook_organization. The count reads all webhooks of the organization.
    const [webhooks, total] = await em.findAndCount(
      WebhookEntity,
      {
        ...(organizationId === undefined ? {} : { organizationId }),
        format: { $in: [...formats] },
        ...(statuses.length === 0 ? {} : { status: { $in: [...statuses] } }),
        ...visibleWebhooks(principal, projectId),
      },
      { orderBy: { id: "desc" }, offset, limit },
    );
    const records = await webhookRecords(em, webhooks);
    return { records: records.map((record) => recordFor(principal, record)), total };
  };
}
