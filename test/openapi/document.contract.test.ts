import { create, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import { describe, expect, test } from "vitest";
import { bindBody } from "../../src/gateway/bind-body.ts";
import { type HttpBinding, readHttpBindings } from "../../src/gateway/http-binding.ts";
import { createServiceRegistry } from "../../src/gateway/service-registry.ts";
import { errorReasons } from "../../src/openapi/content/error-reasons.ts";
import { examples } from "../../src/openapi/content/examples.ts";
import { contractServices } from "../support/contract-services.ts";
import { compileSchemas, operationsOf, pointer, readDocument } from "./document-schemas.ts";

const document = readDocument();
/** What is served beside the contract's routes. */
const publicKeys = "WebhookKeys_GetPublicKeys";
const everyOperation = operationsOf(document);
const operations = everyOperation.filter(({ id }) => id !== publicKeys);
const schemas = compileSchemas(document);
const bindings = contractServices.flatMap(readHttpBindings);
const registry = createServiceRegistry(contractServices);
const validator = createValidator();
const components = document.components as Record<string, Record<string, JsonObject>>;

describe("the document and the contract", () => {
  test("every route of the contract is an operation, and there are no others", () => {
    const routes = bindings.map(({ method, httpMethod, template }) => [
      `${method.parent.name}_${method.name}`,
      `${httpMethod} ${template.source.replace(/\{[^}]*\}/g, "{}")}`,
    ]);
    const documented = operations.map(({ id, method, path }) => [id, `${method} ${path.replace(/\{[^}]*\}/g, "{}")}`]);
    expect(documented.toSorted()).toEqual(routes.toSorted());
    expect(routes.length).toBeGreaterThan(20);
  });

  test("the public keys of a webhook are beside them, for everybody", () => {
    const keys = everyOperation.find(({ id }) => id === publicKeys)!;
    expect(keys).toMatchObject({ method: "GET", path: "/.well-known/webhooks/{id}/jwks.json" });
    expect(keys.operation).toMatchObject({ security: [] });
    const at = `responses.200.content.application/jwk-set+json.example`.split(".");
    const example = at.reduce<JsonValue>((value, name) => (value as JsonObject)[name]!, keys.operation);
    expect(schemas.problems(schemas.answer(keys, 200, "application/jwk-set+json")!, example)).toEqual([]);
  });

  test("every answer to a caller with limits tells of them, and those that ask for patience have Retry-After", () => {
    const limits = ["RateLimit-Policy", "RateLimit"];
    for (const { id, operation } of operations) {
      const { headers = {} } = (operation.responses as Record<string, JsonObject>)[200]!;
      expect(Object.keys(headers as JsonObject), id).toEqual(limits);
    }
    const named = (name: string) => Object.keys((components.responses![name]!.headers ?? {}) as JsonObject);
    const ofTheBody = ["RequestTimeout", "PayloadTooLarge", "UnsupportedMediaType"];
    for (const name of ["BadRequest", "Forbidden", "NotFound", ...ofTheBody]) {
      expect(named(name), name).toEqual(limits);
    }
    for (const name of ["Conflict", "TooManyRequests", "ServiceUnavailable"]) {
      expect(named(name), name).toEqual([...limits, "Retry-After"]);
    }
    expect(Object.keys(components.headers!)).toEqual(["RateLimitPolicy", "RateLimit", "RetryAfter"]);
  });

  test("every parameter of a path is described, and none beside them", () => {
    for (const { path, operation } of everyOperation) {
      const named = [...path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name);
      const parameters = (operation.parameters ?? []) as { name: string; in: string }[];
      expect(parameters.filter((each) => each.in === "path").map(({ name }) => name)).toEqual(named);
    }
  });

  test("everything has a text from the contract's comments", () => {
    for (const { id, operation } of everyOperation) {
      expect(operation.summary, id).toMatch(/^[A-Z].*[^.]$/);
      for (const parameter of (operation.parameters ?? []) as JsonObject[])
        expect(parameter.description, id).toBeTruthy();
    }
    for (const [name, { properties = {} }] of Object.entries(components.schemas!)) {
      for (const [field, schema] of Object.entries(properties as Record<string, JsonObject>)) {
        if (field !== "@type" && field !== "error") expect(schema.description, `${name}.${field}`).toBeTruthy();
      }
    }
  });

  test("texts call fields by their JSON names", () => {
    const names = new Set(
      bindings.flatMap(({ method }) => [...method.input.fields, ...method.output.fields]).map(({ name }) => name),
    );
    const snakeCase = JSON.stringify({ paths: document.paths, schemas: components.schemas }).match(
      /\b[a-z]+(_[a-z]+)+\b/g,
    );
    expect((snakeCase ?? []).filter((word) => names.has(word))).toEqual([]);
  });

  test("rules and behaviour of fields are keywords", () => {
    expect(components.schemas!.Webhook).toMatchObject({
      required: ["url", "eventTypes"],
      properties: {
        id: { readOnly: true },
        url: { type: "string", maxLength: 2048 },
        eventTypes: { type: "array", minItems: 1, maxItems: 200, uniqueItems: true, items: { maxLength: 128 } },
        headers: { type: "object", additionalProperties: { type: "string" }, maxProperties: 20 },
        signingSecret: { type: "string", writeOnly: true },
        createTime: { type: "string", format: "date-time", readOnly: true },
      },
    });
    expect(components.schemas!.RetryPolicy).toMatchObject({
      properties: {
        delays: { items: { type: "string", pattern: "^-?\\d+(\\.\\d{1,9})?s$" }, maxItems: 50 },
        maxAttempts: { type: "integer", minimum: 0, maximum: 51 },
        timeout: { description: expect.stringContaining("Must be at least 0.1s and at most 60s.") },
      },
    });
    expect(components.schemas!.Event).toMatchObject({
      description: expect.stringContaining("Set data or dataJson, not both."),
      properties: { dataJson: { contentEncoding: "base64", writeOnly: true }, id: { pattern: "^[\\x21-\\x7e]+$" } },
    });
    expect(components.schemas!.WebhookPatch).not.toHaveProperty("required");
    expect(components.schemas!.WebhookPatch).toMatchObject({ properties: { name: { type: ["string", "null"] } } });
    expect(components.schemas!.PauseWebhookRequestBody).not.toHaveProperty("properties.id");
  });

  test("every reason has its place among the answers of its status", () => {
    const responses = Object.values(components.responses!);
    for (const { reason, httpStatus, code } of errorReasons()) {
      const found = responses.filter((response) => JSON.stringify(response).includes(`"${reason}":{"value"`));
      expect(found, reason).toHaveLength(1);
      expect(JSON.stringify(found)).toContain(`"code":${httpStatus},"status":"${code}"`);
    }
  });

  test("the examples of errors are errors", () => {
    const all = Object.values(components.responses!).flatMap(({ content }) =>
      Object.values(
        (content as Record<string, { examples: Record<string, JsonObject> }>)["application/json"]!.examples,
      ),
    );
    expect(all.length).toBeGreaterThan(20);
    for (const { value } of all) expect(schemas.problems("/components/schemas/Error", value)).toEqual([]);
  });

  test("a key is asked for by either header", () => {
    expect(document.security).toEqual([{ bearer: [] }, { apiKey: [] }]);
    expect(components.securitySchemes).toMatchObject({
      bearer: { type: "http", scheme: "bearer" },
      apiKey: { type: "apiKey", in: "header", name: "X-Api-Key" },
    });
  });
});

describe("examples are messages of the contract, and valid by the document's schemas", () => {
  const cases = Object.entries(examples());

  test("every operation has one", () => {
    expect(cases.map(([id]) => id).toSorted()).toEqual(operations.map(({ id }) => id).toSorted());
  });

  test.each(cases)("%s", (id, { request, response }) => {
    const binding = bindings.find(({ method }) => `${method.parent.name}_${method.name}` === id)!;
    const operation = operations.find((each) => each.id === id)!;
    if (binding.body !== undefined) {
      const at = `${operation.pointer}${pointer("requestBody", "content", "application/json", "schema")}`;
      expect(schemas.problems(at, request)).toEqual([]);
      expect(violations(binding, request!)).toEqual([]);
    }
    expect(schemas.problems(schemas.answer(operation, 200)!, response)).toEqual([]);
    expect(() => readResponse(binding, response!)).not.toThrow();
  });

  test("the checks find what is wrong", () => {
    const create = bindings.find(({ method }) => method.name === "CreateWebhook")!;
    const at = pointer("paths", "/v1/webhooks", "post", "requestBody", "content", "application/json", "schema");
    for (const request of [{ url: "https://a.example" }, { url: "https://a.example", eventTypes: ["a b"], name: 1 }]) {
      expect(schemas.problems(at, request)).not.toEqual([]);
    }
    expect(violations(create, { url: "https://a.example" })).not.toEqual([]);
  });

  /** What the contract's rules say of the body; a part of an update is let be. */
  function violations({ method, body }: HttpBinding, request: JsonValue): unknown[] {
    const bytes = Buffer.from(JSON.stringify(request));
    const message = bindBody(method.input, body!, { contentType: "application/json", bytes }, registry);
    const { kind, violations: found = [] } = validator.validate(method.input, message) as {
      kind: string;
      violations?: { field: { name?: string }[] }[];
    };
    const ofBody = found.filter(({ field }) => !["id", "webhook_id", "organization_id"].includes(field[0]?.name ?? ""));
    return kind === "error" ? [kind] : ofBody;
  }

  function readResponse({ method, responseBody }: HttpBinding, response: JsonValue) {
    const json = responseBody === undefined ? response : { [responseBody.jsonName]: response };
    return create(method.output, fromJson(method.output, json, { registry }));
  }
});
