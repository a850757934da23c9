import type { Config } from "./config.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { createLayerDialect } from "./dialects/layer/layer-dialect.ts";
import { createLayersDialect } from "./dialects/layers/layers-dialect.ts";
import { createVerifikDialect } from "./dialects/verifik/verifik-dialect.ts";
import type { RetryPolicy } from "./domain/retry.ts";
import type { UseCases } from "./usecases/use-cases.ts";

/** Every dialect that is served. `defaultPolicy` is what webhooks get that set none. */
export function createServedDialects(
  useCases: UseCases,
  { publicUrl, tls, defaultPolicy }: Pick<Config, "publicUrl" | "tls"> & { defaultPolicy: RetryPolicy },
): Dialect[] {
  return [
    createLayerDialect(useCases, { publicUrl, scheme: tls === undefined ? "http" : "https" }),
    createVerifikDialect(useCases, { defaultPolicy }),
    createLayersDialect(useCases),
  ];
}
