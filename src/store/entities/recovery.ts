import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { RecoveryScope, RecoveryStatus } from "../../domain/recovery.ts";

/** A job that sends again what failed, or what was never sent, to one webhook. It outlives the webhook. */
export const RecoveryEntity = defineEntity({
  name: "Recovery",
  tableName: "recovery",
  properties: {
    id: p.uuid().primary(),
    organizationId: p.uuid(),
    webhookId: p.uuid(),
    scope: p.text().$type<RecoveryScope>(),
    /** Receipt of the events: from this time on. */
    since: p.datetime(),
    /** Receipt of the events: before this time. */
    until: p.datetime(),
    status: p.text().$type<RecoveryStatus>(),
    statusReason: p.text(),
    /** The receipt of the last event that it looked at. */
    cursorTime: p.datetime().nullable(),
    /** The id of the last delivery or event that it looked at. */
    cursorId: p.uuid().nullable(),
    examined: p.bigint("number"),
    resent: p.bigint("number"),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    completedAt: p.datetime().nullable(),
    /** No step before it. */
    dueAt: p.datetime(),
  },
});

export type Recovery = InferEntity<typeof RecoveryEntity>;
