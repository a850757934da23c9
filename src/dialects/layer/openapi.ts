import { z } from "zod";
import { jsonSchemaOf } from "../json-schema-of.ts";
import { layerMediaType } from "./layer-accept.ts";
import { type LayerErrorId, layerDocumentation, layerErrors } from "./layer-errors.ts";
import { sentLayerRequests } from "./layer-sent-requests.ts";
import { layerWebhookSchema } from "./layer-webhook.ts";
import { change, preReleaseCreation, versionedCreation } from "./layer-webhook-body.ts";

/** The OpenAPI 3.1 document of this dialect. `version` is that of the package. */
export function layerDocument(version: string): Record<string, unknown> {
  return {
    openapi: "3.1.1",
    info: {
      title: "Tellwire: the API of Layer",
      version,
      summary: "The webhooks API of Layer, served by Tellwire.",
      description:
        "Clients and receivers of Layer's webhooks work unchanged, in each generation: the pre-release one, 1.0, 2.0 and 3.0. The app is the UUID " +
        "of an organization, and the token one of its keys. Webhooks that are made here are seen by the native API too, with a format such as " +
        `\`WEBHOOK_FORMAT_LAYER_2_0\`. Send \`Accept: ${layerMediaType}; version=X\`, X being 1.0, 2.0 or 3.0; any JSON will do too. Unknown ` +
        "properties are ignored.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    tags: [{ name: "Webhooks", description: "Who gets events, and where." }],
    paths,
    webhooks: sentLayerRequests(),
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", description: "The key of an organization." } },
      parameters: {
        app: uuidParameter("app", "The app: the UUID of an organization."),
        webhook: uuidParameter("webhook", "The webhook."),
      },
      schemas: {
        Webhook: jsonSchemaOf(layerWebhookSchema),
        Registration: jsonSchemaOf(versionedCreation.partial({ version: true })),
        PreReleaseRegistration: jsonSchemaOf(preReleaseCreation),
        Change: jsonSchemaOf(change),
        Error: jsonSchemaOf(errorBody),
      },
    },
  };
}

const errorBody = z.object({
  code: z.int().describe("The number of the error."),
  id: z.enum(Object.keys(layerErrors) as LayerErrorId[]),
  message: z.string().describe("For people."),
  url: z.literal(layerDocumentation),
  data: z.record(z.string(), z.string()).optional().describe("The property or the header that the error is about."),
});

const refTo = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const refToParameter = (name: string) => ({ $ref: `#/components/parameters/${name}` });
const whole = { parameters: [refToParameter("app")] };
const single = { parameters: [refToParameter("app"), refToParameter("webhook")] };
const example = {
  version: "2.0",
  target_url: "https://mydomain.com/my-webhook-endpoint",
  events: ["conversation.created", "message.sent"],
  secret: "1697f925ec7b1697f925ec7b",
  config: { key1: "value1", key2: "value2" },
};

/** What each operation can answer with. */
const errorsOfAll = [
  "authentication_required",
  "invalid_app_id",
  "access_denied",
  "invalid_header",
  "rate_limit_exceeded",
  "internal_server_error",
] as const satisfies LayerErrorId[];

const paths = {
  "/apps/{app}/webhooks": {
    ...whole,
    post: operation("registerWebhook", "Register a webhook", {
      body: { schema: { anyOf: [refTo("Registration"), refTo("PreReleaseRegistration")] }, example },
      answers: {
        201: answerOf("Registered. It is unverified, and its verification has begun.", refTo("Webhook")),
        ...errors("invalid_request", "missing_property", "invalid_property"),
      },
    }),
    get: operation("listWebhooks", "List all webhooks, newest first", {
      answers: { 200: answerOf("All of them.", { type: "array", items: refTo("Webhook") }), ...errors() },
    }),
  },
  "/apps/{app}/webhooks/{webhook}": {
    ...single,
    get: operation("getWebhook", "Read a webhook", {
      answers: { 200: answerOf("The webhook.", refTo("Webhook")), ...errors("not_found") },
    }),
    patch: operation("changeWebhook", "Change a webhook", {
      body: { schema: refTo("Change"), example: { events: ["message.sent"] } },
      answers: {
        200: answerOf("The webhook as it is now. A new target_url is verified again.", refTo("Webhook")),
        ...errors("invalid_request", "not_found", "invalid_property"),
      },
    }),
    delete: operation("deleteWebhook", "Delete a webhook", {
      answers: { 204: { description: "Deleted, with what waited for it." }, ...errors("not_found") },
    }),
  },
  "/apps/{app}/webhooks/{webhook}/activate": {
    ...single,
    post: operation("activateWebhook", "Activate a webhook", {
      answers: {
        200: answerOf("Unverified, and its verification has begun; an active one stays as it is.", refTo("Webhook")),
        ...errors("not_found"),
      },
    }),
  },
  "/apps/{app}/webhooks/{webhook}/deactivate": {
    ...single,
    post: operation("deactivateWebhook", "Deactivate a webhook", {
      answers: {
        200: answerOf("Inactive; what waited for it is dropped.", refTo("Webhook")),
        ...errors("not_found"),
      },
    }),
  },
};

function operation(
  operationId: string,
  summary: string,
  { body, answers }: { body?: Record<string, unknown>; answers: Record<number, unknown> },
) {
  return {
    operationId,
    summary,
    tags: ["Webhooks"],
    ...(body === undefined ? {} : { requestBody: { required: true, content: { "application/json": body } } }),
    responses: answers,
  };
}

function uuidParameter(name: string, description: string) {
  return { name, in: "path", required: true, description, schema: { type: "string", format: "uuid" } };
}

function answerOf(description: string, schema: unknown) {
  return { description, content: { "application/json": { schema } } };
}

/** The errors that an operation can have, beside those that each one can, by their status. */
function errors(...own: LayerErrorId[]): Record<number, unknown> {
  const byStatus = Map.groupBy([...own, ...errorsOfAll], (id) => layerErrors[id].status);
  const described = [...byStatus].map(([status, ids]) => {
    const names = ids.map((id) => `\`${id}\` (${layerErrors[id].code})`);
    return [status, answerOf(names.join(", "), refTo("Error"))] as const;
  });
  return Object.fromEntries(described);
}
