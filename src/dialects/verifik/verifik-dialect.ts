import type { RetryPolicy } from "../../domain/retry.ts";
import type { UseCases } from "../../usecases/use-cases.ts";
import type { Dialect } from "../dialect.ts";
import { scopeOfSecret } from "../scope-of-secret.ts";
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
      { method: "POST", path: collection, scope: "webhooks:write", callsReceiver: true, handle: handlers.create },
      { method: "GET", path: collection, scope: "webhooks:read", handle: handlers.list },
      { method: "GET", path: member, scope: "webhooks:read", handle: handlers.get },
      {
        method: "PUT",
        path: member,
        scope: "webhooks:write",
        callsReceiver: true,
        scopeOfBody: scopeOfSecret,
        handle: handlers.update,
      },
      { method: "DELETE", path: member, scope: "webhooks:write", handle: handlers.delete },
    ],
    keyOf: (header) => /^Bearer +(\S+)$/i.exec(header("authorization")?.trim() ?? "")?.[1],
    describe: (failure, context) =>
      describeVerifikFailure(failure, { isList: context.path === collection && context.method !== "POST" }),
  };
}

const collection = "/v2/webhooks";
const member = `${collection}/{id}`;
