import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { LimitOverrides } from "../../domain/limits.ts";

/** A tenant. */
export const OrganizationEntity = defineEntity({
  name: "Organization",
  tableName: "organization",
  properties: {
    id: p.uuid().primary(),
    name: p.text(),
    /** The projects that its webhooks may name; empty: any. */
    projectIds: p.array().default([]),
    createdAt: p.datetime(),
    /** What differs from the server's own limits; null: nothing. */
    limits: p.json<LimitOverrides>().nullable(),
    updatedAt: p.datetime(),
  },
});

export type Organization = InferEntity<typeof OrganizationEntity>;
