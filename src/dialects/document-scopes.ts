import type { DialectRoute } from "./dialect.ts";

/**
 * Adds to a dialect's OpenAPI document which scope each of its routes needs: as a sentence, and, as OpenAPI 3.1 has it, as the role beside
 * each way to show a key. Throws for a route that the document does not have.
 */
export function withScopes(
  document: Record<string, unknown>,
  routes: readonly DialectRoute[],
): Record<string, unknown> {
  const scoped = structuredClone(document) as unknown as ScopedDocument;
  for (const { method, path, scope } of routes) {
    const operation = scoped.paths[path]?.[method.toLowerCase()];
    if (operation === undefined) throw new Error(`the document has no ${method} ${path}`);
    const needs = `Needs the scope \`${scope}\`.`;
    operation.description = operation.description === undefined ? needs : `${operation.description}\n\n${needs}`;
    operation.security = scoped.security.map((scheme) =>
      Object.fromEntries(Object.keys(scheme).map((name) => [name, [scope]])),
    );
  }
  return scoped as unknown as Record<string, unknown>;
}

interface ScopedDocument {
  security: Record<string, unknown>[];
  paths: Record<string, Record<string, { description?: string; security?: unknown }>>;
}
