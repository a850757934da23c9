import { createFileRegistry, type DescService, fromBinary, type JsonObject } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createOpenApiDocument } from "../openapi-document.ts";
import { answerHeaders, errorHeaders, headerComponents } from "./answer-headers.ts";
import { errorReasons } from "./error-reasons.ts";
import { examples } from "./examples.ts";
import { introduction, securitySchemes } from "./introduction.ts";
import { operationAccess } from "./operation-access.ts";
import { publicKeySchemas, publicKeysPath } from "./public-keys-path.ts";
import { sentRequests, sentSchemas } from "./sent-requests.ts";

/**
 * The OpenAPI document of this service, from the compiled contract: a google.protobuf.FileDescriptorSet with source information, as
 * `buf build` writes it.
 */
export function tellwireDocument(image: Uint8Array, version: string): JsonObject {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  const message = (typeName: string) => registry.getMessage(typeName) ?? missing(typeName);
  return createOpenApiDocument({
    files: [...registry.files],
    services: services.map(({ typeName, tag }) => {
      const service: DescService = registry.getService(typeName) ?? missing(typeName);
      return { service, tag };
    }),
    info: introduction(version),
    securitySchemes,
    accessOf: operationAccess,
    errors: {
      reasons: errorReasons(),
      details: ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"].map(message),
      domain: "tellwire",
      headers: errorHeaders,
    },
    examples: examples(),
    webhooks: sentRequests,
    schemas: { ...publicKeySchemas, ...sentSchemas },
    headers: headerComponents,
    answerHeaders,
    paths: publicKeysPath,
    actingParameters: [idempotencyKey],
    verbatimFields: ["tellwire.v1.WebhookImport.webhook"],
  });
}

const services = [
  { typeName: "tellwire.v1.WebhookService", tag: "Webhooks" },
  { typeName: "tellwire.v1.EventService", tag: "Events" },
  { typeName: "tellwire.v1.DeliveryService", tag: "Deliveries" },
  { typeName: "tellwire.v1.OrganizationService", tag: "Organizations" },
  { typeName: "tellwire.v1.AuditService", tag: "Audit log" },
];

function missing(typeName: string): never {
  throw new Error(`the contract has no ${typeName}`);
}

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  description:
    "A text of your own that names this call, such as a UUID: sent again within 24 hours with the same request, it is answered as the first " +
    "time, and nothing is done twice. The answer then has the header `Idempotency-Replayed: true`.",
  schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[\\x21-\\x7e]+$" },
};
