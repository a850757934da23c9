import type { DescMethod } from "@bufbuild/protobuf";
import { type ContextValues, createContextKey, type Interceptor } from "@connectrpc/connect";
import type { AccessRule } from "../../domain/scope.ts";
import { type Principal, requireScope } from "../../usecases/access.ts";
import { type Authenticate, keyMissing } from "../../usecases/authenticate.ts";
import { accessRuleOf } from "../access-rule.ts";
import { peerOf } from "../peer-context.ts";

/**
 * Lets nobody pass without a key (`X-Api-Key`, or else `Authorization: Bearer`) that has the scope which the method names. Throws what
 * `authenticate` and requireScope throw. Services in `openServices` (health, reflection) ask for none.
 */
export function createAuthInterceptor({ authenticate, openServices }: AuthInterceptorOptions): Interceptor {
  const ruleOf = remember(accessRuleOf);
  return (next) => async (request) => {
    if (openServices.has(request.service.typeName)) return await next(request);
    const admit = async (): Promise<Principal> => {
      const principal = await authenticate({ keyText: keyOf(request.header), ...peerOf(request) });
      // Before what it may do is asked: the log of denied calls tells who it was.
      request.contextValues.set(principalKey, principal);
      requireScope(principal, ruleOf(request.method));
      return principal;
    };
    await admit();
    return await next(request.stream ? { ...request, message: admittedEach(request.message, admit) } : request);
  };
}

export interface AuthInterceptorOptions {
  authenticate: Authenticate;
  /** Full names, such as `grpc.health.v1.Health`. */
  openServices: ReadonlySet<string>;
}

/** Who calls, as far as that is known: undefined for a call that did not get past authentication. */
export function findPrincipal({ contextValues }: { contextValues: ContextValues }): Principal | undefined {
  return contextValues.get(principalKey);
}

/** Who calls, in a handler behind the interceptor. */
export function principalOf({ values }: { values: ContextValues }): Principal {
  const principal = values.get(principalKey);
  if (principal === undefined) throw keyMissing();
  return principal;
}

const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

function keyOf(header: Headers): string | undefined {
  return header.get("x-api-key")?.trim() || /^Bearer +(\S+)$/i.exec(header.get("authorization")?.trim() ?? "")?.[1];
}

/** A key that is revoked, or expires, during a long call opens nothing more from the next message on. */
async function* admittedEach<Item>(items: AsyncIterable<Item>, admit: () => Promise<unknown>): AsyncGenerator<Item> {
  for await (const item of items) {
    await admit();
    yield item;
  }
}

/** Options are read from the descriptor's bytes, once for each method. */
function remember(read: (method: DescMethod) => AccessRule): (method: DescMethod) => AccessRule {
  const known = new Map<DescMethod, AccessRule>();
  return (method) => {
    const rule = known.get(method) ?? read(method);
    known.set(method, rule);
    return rule;
  };
}
