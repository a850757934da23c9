import type { WebhookFormat } from "../domain/formats/catalogue.ts";
import type { WebhookStatus } from "../domain/webhook.ts";
import { WebhookEntity } from "../store/entities/webhook.ts";
import { organizationOf, type Principal } from "./access.ts";
import type { Dependencies } from "./dependencies.ts";
import type { Organizations } from "./organizations.ts";
import { type Page, type PageRequest, pageById, pageSizeOf } from "./page.ts";
import { decodePageToken } from "./page-token.ts";
import { visibleWebhooks } from "./projects.ts";
import {
  findWebhook,
  recordFor,
  type WebhookRecord,
  type WebhookTarget,
  webhookRecord,
  webhookRecords,
} from "./webhook-record.ts";

export interface WebhookFilters {
  organizationId: string | undefined;
  /** Empty: all. */
  statuses: readonly WebhookStatus[];
  /** Only webhooks that name this project; empty: all. */
  projectId: string;
  /** Left out or empty: all. */
  formats?: readonly WebhookFormat[];
}

export interface ReadWebhooks {
  /** Throws WEBHOOK_NOT_FOUND. */
  get(principal: Principal, target: WebhookTarget): Promise<WebhookRecord>;
  /** Newest first. */
  list(principal: Principal, filters: WebhookFilters, request: PageRequest): Promise<Page<WebhookRecord>>;
}

export function createReadWebhooks({ database }: Dependencies, organizations: Organizations): ReadWebhooks {
  return {
    async get(principal, target) {
      const em = database.em();
      return recordFor(principal, await webhookRecord(em, await findWebhook(em, principal, target, { lock: false })));
    },

    async list(principal, { organizationId: requested, statuses, projectId, formats = [] }, request) {
      const organizationId = organizationOf(principal, requested);
      if (organizationId !== undefined) await organizations.require(organizationId);
      const filters = { list: "webhook", organizationId, statuses, projectId, formats };
      const after = decodePageToken(filters, request.pageToken);
      const em = database.em();
      const rows = await em.find(
        WebhookEntity,
        {
          ...(organizationId === undefined ? {} : { organizationId }),
          ...(after === undefined ? {} : { id: { $lt: after.id } }),
          ...(statuses.length === 0 ? {} : { status: { $in: [...statuses] } }),
          ...(formats.length === 0 ? {} : { format: { $in: [...formats] } }),
          ...visibleWebhooks(principal, projectId),
        },
        { orderBy: { id: "desc" }, limit: pageSizeOf(request) + 1 },
      );
      const { items, nextPageToken } = pageById(rows, { request, filters, toItem: (row) => row });
      const records = await webhookRecords(em, items);
      return { items: records.map((record) => recordFor(principal, record)), nextPageToken };
    },
  };
}
