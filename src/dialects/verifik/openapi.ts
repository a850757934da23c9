import { z } from "zod";
import { jsonSchemaOf } from "../json-schema-of.ts";
import { createBody, listQuery, updateBody } from "./verifik-requests.ts";
import { verifikWebhook } from "./verifik-webhook.ts";

/** The OpenAPI 3.1 document of this dialect. `version` is that of the package. */
export function verifikDocument(version: string): Record<string, unknown> {
  return {
    openapi: "3.1.1",
    info: {
      title: "Tellwire: the API of Verifik",
      version,
      summary: "The webhook API of Verifik, served by Tellwire.",
      description:
        "Clients and receivers of Verifik's webhooks work unchanged. The token is the key of an organization; webhooks that are made here are " +
        "seen by the native API too, with the format `WEBHOOK_FORMAT_VERIFIK`. Unknown fields are ignored.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }],
    tags: [{ name: "Webhooks", description: "Who gets notifications, and where." }],
    paths: {
      "/v2/webhooks": {
        post: operation("createWebhook", "Create a webhook", {
          body: "CreateWebhook",
          answers: { 201: answerOf("Created. The answer has the secret.", webhookAnswer), ...errors(400, 409) },
        }),
        get: operation("listWebhooks", "List webhooks, newest first", {
          parameters: queryParameters(),
          answers: {
            200: answerOf("One page, without secrets.", listAnswer),
            400: answerOf("The query is wrong.", { $ref: "#/components/schemas/QueryError" }),
            ...errors(),
          },
        }),
      },
      "/v2/webhooks/{id}": {
        parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" }, description: "The `_id`." }],
        get: operation("getWebhook", "Read a webhook", {
          answers: { 200: answerOf("The webhook with its secret.", webhookAnswer), ...errors(404) },
        }),
        put: operation("updateWebhook", "Change a webhook", {
          body: "UpdateWebhook",
          answers: { 200: answerOf("The webhook as it is now.", webhookAnswer), ...errors(400, 404, 409) },
        }),
        delete: operation("deleteWebhook", "Delete a webhook", {
          answers: { 200: answerOf("Deleted, with what waited for it.", deletionAnswer), ...errors(404) },
        }),
      },
    },
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", description: "The key of an organization." } },
      schemas: {
        Webhook: jsonSchemaOf(verifikWebhook),
        CreateWebhook: jsonSchemaOf(createBody),
        UpdateWebhook: jsonSchemaOf(updateBody),
        Error: jsonSchemaOf(errorBody),
        QueryError: jsonSchemaOf(queryErrorBody),
      },
    },
  };
}

const errorBody = z.object({
  error: z.string().describe("For people."),
  message: z.string().describe("For programs, such as `WEBHOOK_NOT_FOUND`."),
});

const queryErrorBody = z.object({
  success: z.literal(false),
  error: z.string(),
  code: z.literal("INVALID_PARAMETERS"),
});

const success = { type: "boolean", const: true };
const webhook = { $ref: "#/components/schemas/Webhook" };
const webhookAnswer = objectOf({ success, data: webhook });
const listAnswer = objectOf({
  success,
  data: { type: "array", items: webhook },
  pagination: jsonSchemaOf(
    z.object({ page: z.int().min(1), limit: z.int().min(1), total: z.int().min(0), pages: z.int().min(0) }),
  ),
});
const deletionAnswer = objectOf({ success, message: { type: "string" } });

function objectOf(properties: Record<string, unknown>) {
  return { type: "object", properties, required: Object.keys(properties) };
}

function operation(
  operationId: string,
  summary: string,
  { parameters, body, answers }: { parameters?: unknown[]; body?: string; answers: Record<number, unknown> },
) {
  const schema = { $ref: `#/components/schemas/${body}` };
  return {
    operationId,
    summary,
    tags: ["Webhooks"],
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: { "application/json": { schema } } } }),
    responses: answers,
  };
}

function queryParameters(): unknown[] {
  return Object.entries(listQuery.shape).map(([name, field]) => {
    const { description, ...schema } = jsonSchemaOf(field);
    return { name, in: "query", description, schema };
  });
}

function answerOf(description: string, schema: unknown) {
  return { description, content: { "application/json": { schema } } };
}

/** The failures that an operation can have, beside those that each one can. */
function errors(...statuses: (keyof typeof failures)[]): Record<number, unknown> {
  const schema = { $ref: "#/components/schemas/Error" };
  return Object.fromEntries(
    ([...statuses, 401, 403, 429, 500, 503] as const).map((status) => [status, answerOf(failures[status], schema)]),
  );
}

const failures = {
  400: "`INVALID_WEBHOOK_URL`, or `INVALID_PARAMETERS` with the field in `error`.",
  401: "`UNAUTHORIZED`",
  403: "`SCOPE_MISSING`",
  404: "`WEBHOOK_NOT_FOUND`",
  409: "`WEBHOOK_NAME_EXISTS`",
  429: "`RATE_LIMITED` or `QUOTA_EXCEEDED`",
  500: "`INTERNAL_SERVER_ERROR`",
  503: "`SERVICE_UNAVAILABLE`",
};
