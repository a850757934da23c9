import type { LayerGeneration } from "../../domain/formats/layer.ts";
import { parseId } from "../../domain/ids.ts";
import { TellwireError } from "../../errors.ts";
import { organizationOf } from "../../usecases/access.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { WebhookFields } from "../../usecases/webhook-fields.ts";
import { type WebhookRecord, type WebhookTarget, webhookNotFound } from "../../usecases/webhook-record.ts";
import { DialectFailureError, type DialectRequest } from "../dialect.ts";
import { readLayerAccept } from "./layer-accept.ts";
import { generationOf, layerFormats, propertyNames } from "./layer-generation.ts";
import { type LayerFields, readLayerChange, readLayerCreation } from "./layer-webhook-body.ts";

/**
 * What Layer's API does with webhooks. An app is an organization. Webhooks of other formats are not seen here, as Layer's clients could
 * not read them. Throws ORGANIZATION_NOT_FOUND for an app that is not the caller's, and WEBHOOK_NOT_FOUND.
 */
export interface LayerWebhooks {
  /** The webhook is unverified; nobody waits for its verification. */
  create(request: DialectRequest): Promise<WebhookRecord>;
  /** All of them, newest first. */
  list(request: DialectRequest): Promise<WebhookRecord[]>;
  get(request: DialectRequest): Promise<WebhookRecord>;
  /** A new `target_url` is verified like that of a new webhook. A new `secret` signs from now on, and the old one no more. */
  update(request: DialectRequest): Promise<WebhookRecord>;
  /** Starts a new verification; an active webhook stays as it is. */
  activate(request: DialectRequest): Promise<WebhookRecord>;
  /** Everything that waits for the webhook is dropped. */
  deactivate(request: DialectRequest): Promise<WebhookRecord>;
  remove(request: DialectRequest): Promise<void>;
}

export function createLayerWebhooks({ organizations, webhooks }: UseCases): LayerWebhooks {
  async function appOf({ principal, params: { app = "" } }: DialectRequest): Promise<string> {
    const id = parseId("organization", app);
    if (id === undefined) {
      throw new TellwireError("ORGANIZATION_NOT_FOUND", `there is no app ${app}: an app's id is a UUID`);
    }
    organizationOf(principal, id);
    await organizations.require(id);
    return id;
  }

  async function find(request: DialectRequest): Promise<Found> {
    const organizationId = await appOf(request);
    const { webhook = "" } = request.params;
    const id = parseId("webhook", webhook);
    if (id === undefined) {
      throw new TellwireError("WEBHOOK_NOT_FOUND", `there is no webhook ${webhook}: a webhook's id is a UUID`);
    }
    const target = { id, organizationId };
    const record = await webhooks.get(request.principal, target);
    const generation = generationOf(record.webhook.format);
    if (generation === undefined) {
      throw webhookNotFound(id);
    }
    return { target, record, generation };
  }

  return {
    async create(request) {
      const organizationId = await appOf(request);
      const accept = readLayerAccept(request.header("accept"));
      const given = readLayerCreation(request.body, accept.kind === "acceptable" ? accept.version : undefined);
      const input = { organizationId, signingSecret: given.secret, ...newFields, ...fieldsOf(given) };
      const { record } = await namedAs(given.generation, webhooks.create(request.principal, input));
      return record;
    },

    async list(request) {
      const organizationId = await appOf(request);
      const filters = { organizationId, statuses: [], projectId: "", formats: Object.values(layerFormats) };
      const records: WebhookRecord[] = [];
      let pageToken = "";
      do {
        const page = await webhooks.list(request.principal, filters, { pageSize: 200, pageToken });
        records.push(...page.items);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return records;
    },

    async get(request) {
      return (await find(request)).record;
    },

    async update(request) {
      const { principal, body } = request;
      const { target, generation } = await find(request);
      const { secret, ...given } = readLayerChange(body, generation);
      const names = given.generation ?? generation;
      const change = { ...target, etag: "", patch: fieldsOf(given) };
      // The secret is checked when it is read, so that this one can be refused for nothing that the client says after the change.
      const record = await namedAs(names, webhooks.update(principal, change));
      if (secret === undefined) {
        return record;
      }
      await namedAs(names, webhooks.rotateSecret(principal, { ...target, signingSecret: secret, overlapMs: 0 }));
      return record;
    },

    async activate(request) {
      return await webhooks.activate(request.principal, (await find(request)).target);
    },

    async deactivate(request) {
      const { target } = await find(request);
      return await webhooks.disable(request.principal, { ...target, reason: "Deactivated by User" });
    },

    async remove(request) {
      await webhooks.delete(request.principal, { ...(await find(request)).target, etag: "" });
    },
  };
}

interface Found {
  target: WebhookTarget;
  record: WebhookRecord;
  generation: LayerGeneration;
}

/** What Layer's webhooks have that their clients do not set: six attempts in about 28 minutes, a second each, and the end with the first loss. */
const newFields = {
  projectIds: [],
  name: "",
  description: "",
  headers: {},
  retry: { delaysMs: [10_000, 30_000, 120_000, 300_000, 1_200_000], maxAttempts: 6, timeoutMs: 1_000 },
  disableAfterExhausted: 1,
  verificationMethod: "CHALLENGE",
  rateLimit: null,
  ordering: "NONE",
} as const satisfies Partial<WebhookFields>;

function fieldsOf(given: Omit<LayerFields, "secret">): Pick<WebhookFields, "format" | "url" | "eventTypes" | "config">;
function fieldsOf(given: Partial<LayerFields>): Partial<WebhookFields>;
function fieldsOf({ generation, url, eventTypes, config }: Partial<LayerFields>): Partial<WebhookFields> {
  return {
    ...(generation === undefined ? {} : { format: layerFormats[generation] }),
    ...(url === undefined ? {} : { url }),
    ...(eventTypes === undefined ? {} : { eventTypes }),
    ...(config === undefined ? {} : { config }),
  };
}

/** Fields that a use case refuses, by the names that the generation has for them. */
async function namedAs<Result>(generation: LayerGeneration, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof TellwireError) || error.reason !== "INVALID_FIELDS") {
      throw error;
    }
    const { eventTypes, config } = propertyNames(generation);
    const names: Record<string, string> = {
      url: "target_url",
      event_types: eventTypes,
      config,
      signing_secret: "secret",
    };
    const violations = error.fieldViolations.map(({ field, description }) => {
      const name = field.replace(/^webhook\./, "");
      return { field: names[name] ?? name, missing: false, message: description };
    });
    throw new DialectFailureError({ kind: "invalid", violations });
  }
}
