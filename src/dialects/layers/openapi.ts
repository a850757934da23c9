import { z } from "zod";
import { jsonSchemaOf } from "../json-schema-of.ts";
import { deliveryBody } from "./layers-delivery.ts";
import { endpointBody } from "./layers-endpoint.ts";
import { type LayersErrorCode, layersErrors } from "./layers-failures.ts";
import { createBody, deliveriesQuery, endpointsQuery, testBody, updateBody } from "./layers-requests.ts";

/** The OpenAPI 3.1 document of this dialect. `version` is that of the package. */
export function layersDocument(version: string): Record<string, unknown> {
  return {
    openapi: "3.1.1",
    info: {
      title: "Tellwire: the API of Layers",
      version,
      summary: "The webhook API of Layers, served by Tellwire.",
      description:
        "Clients and receivers of Layers' webhooks work unchanged. The key is that of an organization; endpoints that are made here are " +
        "seen by the native API too, with the format `WEBHOOK_FORMAT_LAYERS`. Unknown fields are ignored.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ apiKey: [] }, { bearer: [] }],
    tags: [
      { name: "Endpoints", description: "Who gets events, and where." },
      { name: "Deliveries", description: "What became of events." },
    ],
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: "apiKey", in: "header", name: "X-Api-Key", description: "The key of an organization." },
        bearer: { type: "http", scheme: "bearer", description: "The same; X-Api-Key wins where both are sent." },
      },
      schemas: Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, jsonSchemaOf(schema)])),
    },
  };
}

const time = z.iso.datetime({ precision: 3 });
const warning = z.string();
const nextCursor = z.string().nullable().describe("null on the last page.");
const refTo = (name: keyof typeof schemas) => ({ $ref: `#/components/schemas/${name}` });

const schemas = {
  CreateEndpoint: createBody,
  UpdateEndpoint: updateBody,
  TestEndpoint: testBody,
  CreatedEndpoint: z.object({
    endpoint: endpointBody,
    signingSecret: z.string().describe("Shown this once."),
    warning,
  }),
  Endpoint: endpointBody,
  EndpointPage: z.object({ items: z.array(endpointBody), nextCursor }),
  DeletedEndpoint: z.object({ id: z.guid(), deleted: z.literal(true) }),
  RotatedSecret: z.object({
    endpointId: z.guid(),
    signingSecret: z.string().describe("Shown this once."),
    previousSecretExpiresAt: time,
    warning,
  }),
  SentTest: z.object({ eventId: z.string(), deliveryId: z.guid(), scheduledAt: time }),
  DeliveryPage: z.object({ items: z.array(deliveryBody), nextCursor }),
  Replay: z.object({ originalDeliveryId: z.guid(), replayDeliveryId: z.guid(), scheduledAt: time }),
  Error: z.object({
    error: z.object({
      code: z.enum(Object.keys(layersErrors) as LayersErrorCode[]),
      message: z.string().describe("For people."),
      requestId: z.string().describe("The server's log has it too."),
      details: z.record(z.string(), z.string()).describe("With VALIDATION: each bad field, and what is wrong with it."),
    }),
  }),
};

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  description: "For 24 hours, the same key and body answer with the original status and body.",
  schema: { type: "string", minLength: 1, maxLength: 255 },
};

/** What each operation can answer with. */
const codesOfAll = [
  "UNAUTHENTICATED",
  "FORBIDDEN_SCOPE",
  "RATE_LIMITED",
  "INTERNAL",
  "UNAVAILABLE",
] as const satisfies LayersErrorCode[];

const paths = {
  "/v1/webhook-endpoints": {
    post: operation("createEndpoint", "Create an endpoint", "Endpoints", {
      parameters: [idempotencyKey],
      body: { name: "CreateEndpoint", required: true },
      answers: {
        201: answerOf("Created. The secret is shown this once.", "CreatedEndpoint"),
        ...errors("NOT_FOUND", "IDEMPOTENCY_CONFLICT", "VALIDATION"),
      },
    }),
    get: operation("listEndpoints", "List endpoints, newest first", "Endpoints", {
      parameters: queryParameters(endpointsQuery),
      answers: { 200: answerOf("One page.", "EndpointPage"), ...errors("NOT_FOUND", "VALIDATION") },
    }),
  },
  "/v1/webhook-endpoints/{id}": {
    parameters: [pathParameter("id", "The endpoint.")],
    get: operation("getEndpoint", "Read an endpoint", "Endpoints", {
      answers: { 200: answerOf("The endpoint.", "Endpoint"), ...errors("NOT_FOUND") },
    }),
    patch: operation("updateEndpoint", "Change an endpoint", "Endpoints", {
      body: { name: "UpdateEndpoint", required: true },
      answers: { 200: answerOf("The endpoint as it is now.", "Endpoint"), ...errors("NOT_FOUND", "VALIDATION") },
    }),
    delete: operation("deleteEndpoint", "Delete an endpoint", "Endpoints", {
      answers: { 200: answerOf("Deleted; what waited is abandoned.", "DeletedEndpoint"), ...errors("NOT_FOUND") },
    }),
  },
  "/v1/webhook-endpoints/{id}/rotate-secret": {
    parameters: [pathParameter("id", "The endpoint.")],
    post: operation("rotateSecret", "Replace the signing secret", "Endpoints", {
      answers: { 200: answerOf("The new secret, shown this once.", "RotatedSecret"), ...errors("NOT_FOUND") },
    }),
  },
  "/v1/webhook-endpoints/{id}/test": {
    parameters: [pathParameter("id", "The endpoint.")],
    post: operation("testEndpoint", "Send test.ping", "Deliveries", {
      body: { name: "TestEndpoint", required: false },
      answers: { 200: answerOf("What was scheduled.", "SentTest"), ...errors("NOT_FOUND", "VALIDATION") },
    }),
  },
  "/v1/webhook-endpoints/{id}/deliveries": {
    parameters: [pathParameter("id", "The endpoint.")],
    get: operation("listDeliveries", "List deliveries, newest first", "Deliveries", {
      parameters: queryParameters(deliveriesQuery),
      answers: { 200: answerOf("One page.", "DeliveryPage"), ...errors("NOT_FOUND", "VALIDATION") },
    }),
  },
  "/v1/webhook-deliveries/{deliveryId}/replay": {
    parameters: [pathParameter("deliveryId", "The delivery.")],
    post: operation("replayDelivery", "Send the data of a delivery once more", "Deliveries", {
      answers: { 200: answerOf("What was scheduled.", "Replay"), ...errors("NOT_FOUND", "VALIDATION") },
    }),
  },
};

interface OperationParts {
  parameters?: unknown[];
  body?: { name: keyof typeof schemas; required: boolean };
  answers: Record<number, unknown>;
}

function operation(operationId: string, summary: string, tag: string, { parameters, body, answers }: OperationParts) {
  return {
    operationId,
    summary,
    tags: [tag],
    ...(parameters === undefined ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: body.required, content: { "application/json": { schema: refTo(body.name) } } } }),
    responses: answers,
  };
}

function pathParameter(name: string, description: string) {
  return { name, in: "path", required: true, description, schema: { type: "string", format: "uuid" } };
}

function queryParameters(query: z.ZodObject): unknown[] {
  return Object.entries(query.shape).map(([name, field]) => {
    const { description, ...schema } = jsonSchemaOf(field as z.ZodType);
    return { name, in: "query", ...(description === undefined ? {} : { description }), schema };
  });
}

function answerOf(description: string, name: keyof typeof schemas) {
  return { description, content: { "application/json": { schema: refTo(name) } } };
}

/** The failures that an operation can have, beside those that each one can. */
function errors(...codes: LayersErrorCode[]): Record<number, unknown> {
  return Object.fromEntries(
    [...codes, ...codesOfAll].map((code) => [layersErrors[code], answerOf(`\`${code}\``, "Error")]),
  );
}
