import { expect, it } from "vitest";
import { verifikDocument } from "../../src/dialects/verifik/openapi.ts";
import { createVerifikDialect } from "../../src/dialects/verifik/verifik-dialect.ts";
import { DEFAULT_RETRY_POLICY } from "../../src/domain/retry.ts";
import type { UseCases } from "../../src/usecases/use-cases.ts";

// biome-ignore lint/suspicious/noExplicitAny: a document is looked into by its paths.
const document = verifikDocument("1.2.3") as any;

it("the document describes the routes that are served, and no others", () => {
  // The routes are known before any of them calls a use case.
  const useCases = { webhooks: {} } as UseCases;
  const { routes } = createVerifikDialect(useCases, { defaultPolicy: DEFAULT_RETRY_POLICY });
  const described = Object.entries<object>(document.paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((key) => key !== "parameters")
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
});

it("bodies and parameters are described with the bounds that hold", () => {
  const { CreateWebhook, UpdateWebhook, Webhook } = document.components.schemas;
  expect(CreateWebhook.required).toEqual(["url", "name", "isActive"]);
  expect(CreateWebhook.properties.name).toMatchObject({ type: "string", minLength: 1, maxLength: 128 });
  expect(UpdateWebhook.required).toBeUndefined();
  expect(Webhook.properties.createdAt).toEqual({
    type: "string",
    format: "date-time",
    description: expect.any(String),
  });
  const { parameters } = document.paths["/v2/webhooks"].get;
  expect(parameters).toMatchObject([
    { name: "page", in: "query", schema: { type: "integer", minimum: 1, default: 1 } },
    { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 100, default: 10 } },
    { name: "isActive", in: "query", schema: { enum: ["true", "false"] } },
    { name: "projectFlow", in: "query", schema: { type: "string" } },
  ]);
});

it("every schema that the document refers to is in it", () => {
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
  expect(new Set(references)).toEqual(new Set(Object.keys(document.components.schemas)));
});
