import { defineEntity, type InferEntity, p } from "@mikro-orm/core";
import type { AttemptError, AttemptTrigger } from "../../domain/attempt.ts";

/**
 * One request to a receiver, and what came of it. Not all attempts are rows of this table: whoever reads them takes `storedAttempts`, which knows
 * those that rows of delivery hold.
 */
export const AttemptEntity = defineEntity({
  name: "Attempt",
  tableName: "attempt",
  properties: {
    id: p.uuid().primary(),
    deliveryId: p.uuid(),
    number: p.integer(),
    trigger: p.text().$type<AttemptTrigger>(),
    startedAt: p.datetime(),
    latencyMs: p.double(),
    statusCode: p.integer(),
    error: p.text().$type<AttemptError>().nullable(),
    errorMessage: p.text(),
    /** The first 16 KiB of the response's body. */
    responseBody: p.blob(),
    url: p.text(),
  },
});

export type Attempt = InferEntity<typeof AttemptEntity>;
