import { parseId } from "../../domain/ids.ts";
import type { RetryPolicy } from "../../domain/retry.ts";
import { TellwireError } from "../../errors.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { WebhookFields } from "../../usecases/webhook-fields.ts";
import { type WebhookRecord, type WebhookTarget, webhookNotFound } from "../../usecases/webhook-record.ts";
import type { DialectAnswer, DialectRequest } from "../dialect.ts";
import { parseFields } from "../parse-fields.ts";
import { queryValues } from "../query-values.ts";
import { createBody, listQuery, type UpdateBody, updateBody } from "./verifik-requests.ts";
import { toVerifikWebhook } from "./verifik-webhook.ts";

/** What this system's calls do. */
export interface VerifikHandlers {
  create(request: DialectRequest): Promise<DialectAnswer>;
  list(request: DialectRequest): Promise<DialectAnswer>;
  get(request: DialectRequest): Promise<DialectAnswer>;
  update(request: DialectRequest): Promise<DialectAnswer>;
  delete(request: DialectRequest): Promise<DialectAnswer>;
}

/** `defaultPolicy` is the server's own: shown for webhooks that were given none. */
export function createVerifikHandlers({ webhooks }: UseCases, defaultPolicy: RetryPolicy): VerifikHandlers {
  /** Webhooks of other formats are not there for callers of this system. Throws WEBHOOK_NOT_FOUND. */
  async function find({ principal, params: { id: text = "" } }: DialectRequest): Promise<Found> {
    const id = parseId("webhook", text);
    if (id === undefined) throw new TellwireError("WEBHOOK_NOT_FOUND", `${text} is no webhook's id`);
    const target = { id, organizationId: undefined };
    const record = await webhooks.get(principal, target);
    if (record.webhook.format !== "VERIFIK") throw webhookNotFound(id);
    return { target, record };
  }

  async function answerWith(request: DialectRequest, { target, record }: Found): Promise<DialectAnswer> {
    const secret = await webhooks.readSecret(request.principal, target);
    return { status: 200, body: { success: true, data: toVerifikWebhook(record, { secret, defaultPolicy }) } };
  }

  return {
    async create({ principal, body }) {
      const { secret = "", isActive, url, name, ...given } = parseFields(createBody, body);
      const { record, signingSecret } = await webhooks.create(principal, {
        ...newWebhook,
        url,
        name,
        ...changedFields(given),
        organizationId: undefined,
        signingSecret: secret,
        ...(isActive ? {} : { disabledReason: switchedOff }),
      });
      // The documented answer to a creation, and it alone, has no headers: there cannot be any yet.
      const { headers: _, ...data } = toVerifikWebhook(record, { secret: signingSecret, defaultPolicy });
      return { status: 201, body: { success: true, data } };
    },

    async list({ principal, query }) {
      const { page, limit, isActive, projectFlow = "" } = parseFields(listQuery, queryValues(query));
      const { records, total } = await webhooks.listByOffset(
        principal,
        { organizationId: undefined, formats: ["VERIFIK"], statuses: statusesOf(isActive), projectId: projectFlow },
        { offset: (page - 1) * limit, limit },
      );
      const data = records.map((record) => toVerifikWebhook(record, { defaultPolicy }));
      const pagination = { page, limit, total, pages: Math.ceil(total / limit) };
      return { status: 200, body: { success: true, data, pagination } };
    },

    async get(request) {
      return await answerWith(request, await find(request));
    },

    async update(request) {
      const change = parseFields(updateBody, request.body);
      const { target, record: before } = await find(request);
      const { principal } = request;
      const patch = changedFields(change);
      // What may be refused comes first, so that a refused update has changed nothing; the switch comes last, for what it switches on or
      // off is then as the update wants it.
      let record = before;
      if (Object.keys(patch).length > 0) {
        record = await webhooks.update(principal, { ...target, etag: "", patch });
      }
      if (change.secret !== undefined) {
        await webhooks.rotateSecret(principal, { ...target, overlapMs: 0, signingSecret: change.secret });
        record = await webhooks.get(principal, target);
      }
      if (change.isActive === true) {
        record = await webhooks.activate(principal, target);
      } else if (change.isActive === false && isOn(record)) {
        record = await webhooks.disable(principal, { ...target, reason: switchedOff });
      }
      return await answerWith(request, { target, record });
    },

    async delete(request) {
      const { target } = await find(request);
      await webhooks.delete(request.principal, { ...target, etag: "" });
      return { status: 200, body: { success: true, message: "Webhook deleted successfully" } };
    },
  };
}

interface Found {
  target: WebhookTarget;
  record: WebhookRecord;
}

const switchedOff = "switched off by its owner";

/** A webhook of this system, where its creation says nothing else: three retries five seconds apart, and no proof by the receiver. */
const newWebhook = {
  projectIds: [],
  description: "",
  eventTypes: ["*"],
  format: "VERIFIK",
  headers: {},
  config: null,
  retry: { delaysMs: [5_000, 5_000, 5_000], maxAttempts: null, timeoutMs: 30_000 },
  disableAfterExhausted: null,
  verificationMethod: "NONE",
  rateLimit: null,
  ordering: "NONE",
} satisfies Partial<WebhookFields>;

/** The fields that a body sets. An empty list of events asks for all of them, as leaving it out on creation does. */
function changedFields({ url, name, description, link, events }: UpdateBody): Partial<WebhookFields> {
  return {
    ...(url === undefined ? {} : { url }),
    ...(name === undefined ? {} : { name }),
    ...(description === undefined ? {} : { description }),
    ...(link === undefined ? {} : { projectIds: link }),
    ...(events === undefined ? {} : { eventTypes: events.length === 0 ? ["*"] : events }),
  };
}

function statusesOf(isActive: boolean | undefined) {
  if (isActive === undefined) return [];
  return isActive ? (["ACTIVE"] as const) : (["UNVERIFIED", "PAUSED", "DISABLED"] as const);
}

/** A webhook that was paused by way of another API is off for callers of this one: what waits for it is kept for the day it is resumed. */
function isOn({ webhook: { status } }: WebhookRecord): boolean {
  return status === "ACTIVE" || status === "UNVERIFIED";
}
