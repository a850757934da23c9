import { type ContextValues, createContextKey, type Interceptor } from "@connectrpc/connect";
import { TellwireError } from "../../errors.ts";
import type { Principal } from "../../usecases/access.ts";

/**
 * Lets nobody pass without a key: `X-Api-Key`, or else `Authorization: Bearer`. Throws KEY_MISSING, or what `authenticate` throws. Services in
 * `openServices` (health, reflection) ask for none.
 */
export function createAuthInterceptor({ authenticate, openServices }: AuthInterceptorOptions): Interceptor {
  return (next) => async (request) => {
    if (!openServices.has(request.service.typeName)) {
      request.contextValues.set(principalKey, await authenticate(keyOf(request.header)));
    }
    return await next(request);
  };
}

export interface AuthInterceptorOptions {
  authenticate: (keyText: string) => Promise<Principal>;
  /** Full names, such as `grpc.health.v1.Health`. */
  openServices: ReadonlySet<string>;
}

/** Who calls, in a handler behind the interceptor. */
export function principalOf({ values }: { values: ContextValues }): Principal {
  const principal = values.get(principalKey);
  if (principal === undefined) throw new TellwireError("KEY_MISSING", keyMissing);
  return principal;
}

const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

const keyMissing = "send a key, as the header X-Api-Key: <key> or Authorization: Bearer <key>";

function keyOf(header: Headers): string {
  const apiKey = header.get("x-api-key")?.trim();
  if (apiKey) return apiKey;
  const bearer = /^Bearer +(\S+)$/i.exec(header.get("authorization")?.trim() ?? "")?.[1];
  if (bearer === undefined) throw new TellwireError("KEY_MISSING", keyMissing);
  return bearer;
}
