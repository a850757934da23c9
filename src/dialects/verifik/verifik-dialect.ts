import type { RetryPolicy } from "../../domain/retry.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { Dialect } from "../dialect.ts";
import { describeVerifikFailure } from "./verifik-failures.ts";
import { createVerifikHandlers } from "./verifik-handlers.ts";

export interface VerifikDialectOptions {
  /** The server's own retry policy. */
  defaultPolicy: RetryPolicy;
}

/** The webhook API of Verifik, `/v2/webhooks`, on webhooks of the format VERIFIK. */
export function createVerifikDialect(useCases: UseCases, { defaultPolicy }: VerifikDialectOptions): Dialect {
  const handlers = createVerifikHandlers(useCases, defaultPolicy);
  return {
    name: "verifik",
    claims: (path) => path === collection || path.startsWith(`${collection}/`),
    routes: [
      { method: "POST", path: collection, handle: handlers.create },
      { method: "GET", path: collection, handle: handlers.list },
      { method: "GET", path: member, handle: handlers.get },
      { method: "PUT", path: member, handle: handlers.update },
      { method: "DELETE", path: member, handle: handlers.delete },
    ],
    keyOf: (header) => /^Bearer +(\S+)$/i.exec(header("authorization")?.trim() ?? "")?.[1],
    describe: (failure, context) =>
      describeVerifikFailure(failure, { isList: context.path === collection && context.method !== "POST" }),
  };
}

const collection = "/v2/webhooks";
const member = `${collection}/{id}`;
