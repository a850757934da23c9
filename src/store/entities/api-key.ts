import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { Scope } from "../../domain/scope.ts";

/** A key of an organization. Only the SHA-256 of the key is stored. */
export const ApiKeyEntity = defineEntity({
  name: "ApiKey",
  tableName: "api_key",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    /** The project that it is kept to; null: the whole organization. */
    projectId: p.text().nullable(),
    name: p.text(),
    prefix: p.text(),
    hash: p.blob(),
    scopes: p.array().$type<Scope[]>(),
    createdAt: p.datetime(),
    expiresAt: p.datetime().nullable(),
    revokedAt: p.datetime().nullable(),
    /** Not newer than it was a minute ago, because it is written once a minute. */
    lastUsedAt: p.datetime().nullable(),
  },
});

export type ApiKey = InferEntity<typeof ApiKeyEntity>;
