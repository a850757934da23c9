import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { type ContextValues, createContextKey, type Interceptor, type UnaryRequest } from "@connectrpc/connect";
import { calls_receiver } from "../../../gen/tellwire/v1/limits_pb.ts";
import { type Principal, requireScope } from "../../usecases/access.ts";
import { type Authenticate, type Credentials, keyMissing } from "../../usecases/authenticate.ts";
import type { CallKind, CallLimits } from "../../usecases/call-limits.ts";
import { accessRuleOf } from "../access-rule.ts";
import { setAnswerHeaders } from "../answer-headers.ts";
import { peerOf } from "../peer-context.ts";

/**
 * Lets nobody pass without a key (`X-Api-Key`, or else `Authorization: Bearer`) that has the scope which the method names, nor more often than
 * the limits say: a stream is one call, however many messages it has. Throws what `authenticate` and requireScope throw, and RATE_LIMITED. Services in `openServices` (health, reflection) ask for none.
 */
export function createAuthInterceptor({ authenticate, callLimits, openServices }: AuthInterceptorOptions): Interceptor {
  const ruleOf = remember(accessRuleOf);
  const kindOf = remember(callKindOf);
  return (next) => async (request) => {
    if (openServices.has(request.service.typeName)) return await next(request);
    const identify = async (): Promise<Principal> => await authenticate(credentialsOf(request));
    const admit = async (): Promise<void> => requireScope(await identify(), ruleOf(request.method));
    const principal = await identify();
    // Before what it may do is asked: the log of denied calls tells who it was.
    request.contextValues.set(principalKey, principal);
    const { headers, refusal } = await callLimits.admit(principal, kindOf(request.method));
    if (headers !== undefined) setAnswerHeaders(request, { ...headers });
    if (refusal !== undefined) throw refusal;
    requireScope(principal, ruleOf(request.method));
    return await next(request.stream ? { ...request, message: admittedEach(request.message, admit) } : request);
  };
}

export interface AuthInterceptorOptions {
  authenticate: Authenticate;
  callLimits: CallLimits;
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

/** A call that has a header for keys is never its connection's: with a key that is missing or garbled in there it would be another caller's. */
function credentialsOf(request: Pick<UnaryRequest, "header" | "contextValues">): Credentials {
  const { header } = request;
  const peer = peerOf(request);
  const isForKey = header.has("x-api-key") || header.has("authorization");
  return { keyText: keyOf(header), ...peer, ...(isForKey ? { clientCertificate: undefined } : {}) };
}

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
function remember<Value extends string>(read: (method: DescMethod) => Value): (method: DescMethod) => Value {
  const known = new Map<DescMethod, Value>();
  return (method) => {
    const value = known.get(method) ?? read(method);
    known.set(method, value);
    return value;
  };
}

function callKindOf(method: DescMethod): CallKind {
  return getOption(method, calls_receiver) ? "calls receiver" : "plain";
}
