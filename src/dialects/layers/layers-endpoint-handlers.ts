import { parseId } from "../../domain/ids.ts";
import { DEFAULT_TIMEOUT_MS } from "../../domain/retry.ts";
import { TellwireError } from "../../errors.ts";
import type { NewWebhook } from "../../usecases/create-webhook.ts";
import { ownProjects } from "../../usecases/projects.ts";
import { defaultOverlapMs } from "../../usecases/rotate-secret.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { WebhookRecord, WebhookTarget } from "../../usecases/webhook-record.ts";
import type { DialectAnswer, DialectRequest, DialectRoute } from "../dialect.ts";
import { parseFields } from "../parse-fields.ts";
import { queryValues } from "../query-values.ts";
import { endpointOf, statusesShownAs } from "./layers-endpoint.ts";
import { createBody, endpointsQuery, updateBody } from "./layers-requests.ts";

type Handle = DialectRoute["handle"];

/** What becomes of endpoints: created, read, changed, deleted, given a new secret. */
export interface LayersEndpointHandlers {
  create: Handle;
  list: Handle;
  get: Handle;
  update: Handle;
  delete: Handle;
  rotateSecret: Handle;
}

export function createLayersEndpointHandlers({ webhooks, organizations }: UseCases): LayersEndpointHandlers {
  return {
    async create({ principal, body }) {
      const { url, events, description, projectId } = parseFields(createBody, body);
      const { record, signingSecret } = await webhooks.create(principal, {
        ...newEndpoint,
        url,
        eventTypes: events,
        description: description ?? "",
        projectIds: projectId ? [projectId] : [],
      });
      return { status: 201, body: { endpoint: endpointOf(record), signingSecret, warning: warnings.creation } };
    },

    async list({ principal, query }) {
      const { projectId, status, cursor, limit } = parseFields(endpointsQuery, queryValues(query));
      if (principal.kind === "organization" && projectId !== undefined) {
        await organizations.requireProjects(principal.organizationId, ownProjects(principal, [projectId]));
      }
      const filters = {
        organizationId: undefined,
        statuses: status === undefined ? [] : statusesShownAs(status),
        projectId: projectId ?? "",
        formats: ["LAYERS"] as const,
      };
      const page = await webhooks.list(principal, filters, { pageSize: limit, pageToken: cursor });
      return ok({ items: page.items.map(endpointOf), nextCursor: page.nextPageToken || null });
    },

    async get(request) {
      return ok(endpointOf(await requireEndpoint(webhooks, request)));
    },

    async update(request) {
      const { url, events, description, status } = parseFields(updateBody, request.body);
      const target = targetOf(await requireEndpoint(webhooks, request));
      const patch = {
        ...(url === undefined ? {} : { url }),
        ...(events === undefined ? {} : { eventTypes: events }),
        ...(description === undefined ? {} : { description: description ?? "" }),
      };
      const isPatched = Object.keys(patch).length > 0;
      const updated = isPatched && (await webhooks.update(request.principal, { ...target, etag: "", patch }));
      const switched =
        status !== undefined &&
        (await webhooks.setStatus(request.principal, { ...target, status: status === "active" ? "ACTIVE" : "PAUSED" }));
      return ok(endpointOf(switched || updated || (await webhooks.get(request.principal, target))));
    },

    async delete(request) {
      const target = targetOf(await requireEndpoint(webhooks, request));
      await webhooks.delete(request.principal, { ...target, etag: "" });
      return ok({ id: target.id, deleted: true });
    },

    async rotateSecret(request) {
      const target = targetOf(await requireEndpoint(webhooks, request));
      const rotation = { ...target, overlapMs: defaultOverlapMs, signingSecret: "" };
      const { signingSecret, previousExpiresAt } = await webhooks.rotateSecret(request.principal, rotation);
      return ok({
        endpointId: target.id,
        signingSecret,
        previousSecretExpiresAt: previousExpiresAt?.toISOString() ?? null,
        warning: warnings.rotation,
      });
    },
  };
}

/** The endpoint that the path names. Throws WEBHOOK_NOT_FOUND, also for a webhook that other systems' receivers get. */
export async function requireEndpoint(
  webhooks: UseCases["webhooks"],
  { principal, params }: DialectRequest,
): Promise<WebhookRecord> {
  const id = parseId("webhook", params.id ?? "");
  const record = id === undefined ? undefined : await webhooks.get(principal, { id, organizationId: undefined });
  if (record?.webhook.format === "LAYERS") return record;
  throw new TellwireError("WEBHOOK_NOT_FOUND", "there is no such endpoint");
}

/** The webhook's id with its organization. */
export function targetOf({ webhook: { id, organizationId } }: WebhookRecord): WebhookTarget {
  return { id, organizationId };
}

/** A 200. */
export function ok(body: unknown): DialectAnswer {
  return { status: 200, body };
}

const secondMs = 1000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** What this system gives every endpoint. The first of its 8 attempts is made at once. */
const newEndpoint = {
  organizationId: undefined,
  signingSecret: "",
  name: "",
  format: "LAYERS",
  headers: {},
  config: null,
  retry: {
    delaysMs: [30 * secondMs, minuteMs, 5 * minuteMs, 15 * minuteMs, hourMs, 6 * hourMs, 24 * hourMs],
    maxAttempts: 8,
    timeoutMs: DEFAULT_TIMEOUT_MS,
  },
  disableAfterExhausted: 20,
  verificationMethod: "NONE",
  rateLimit: null,
  ordering: "NONE",
} satisfies Partial<NewWebhook>;

const warnings = {
  creation:
    "Signing secret shown once. Store it securely — rotate via POST /v1/webhook-endpoints/:id/rotate-secret if compromised.",
  rotation:
    "Signing secret shown once. The previous secret remains valid for 24 hours — dual-verify both in your handler during cutover.",
};
