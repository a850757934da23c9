import { expect, it } from "vitest";
import { createLayersDialect } from "../../src/dialects/layers/layers-dialect.ts";
import { layersDocument } from "../../src/dialects/layers/openapi.ts";
import type { UseCases } from "../../src/usecases/use-cases.ts";

// biome-ignore lint/suspicious/noExplicitAny: a document is looked into by its paths.
const document = layersDocument("1.2.3") as any;

it("the document describes the routes that are served, and no others", () => {
  // The routes are known before any of them calls a use case.
  const { routes } = createLayersDialect({ webhooks: {} } as UseCases);
  const described = Object.entries<object>(document.paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((key) => key !== "parameters")
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
});

it("bodies and parameters are described with the bounds that hold", () => {
  const { CreateEndpoint, UpdateEndpoint, TestEndpoint, Endpoint } = document.components.schemas;
  expect(CreateEndpoint.required).toEqual(["url", "events"]);
  expect(CreateEndpoint.properties.events).toMatchObject({ type: "array", minItems: 1, maxItems: 50 });
  expect(CreateEndpoint.properties.events.items.enum).toHaveLength(16);
  expect(UpdateEndpoint.required).toBeUndefined();
  expect(TestEndpoint.properties.payload).toMatchObject({ type: "object" });
  expect(Endpoint.properties.status).toMatchObject({ enum: ["active", "paused", "auto_paused"] });
  expect(document.paths["/v1/webhook-endpoints"].get.parameters).toMatchObject([
    { name: "projectId", in: "query", schema: { type: "string", format: "uuid" } },
    { name: "status", in: "query", schema: { enum: ["active", "paused", "auto_paused"] } },
    { name: "cursor", in: "query", schema: { type: "string" } },
    { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 100, default: 25 } },
  ]);
});

it("every schema that the document refers to is in it, and every schema is referred to", () => {
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
  expect(new Set(references)).toEqual(new Set(Object.keys(document.components.schemas)));
});
