import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { type ContextValues, createContextKey, type Interceptor } from "@connectrpc/connect";
import { calls_receiver } from "../../../gen/tellwire/v1/limits_pb.ts";
import { type Principal, requireScope } from "../../usecases/access.ts";
import { type Authenticate, type Credentials, keyMissing } from "../../usecases/authenticate.ts";
import type { CallKind, CallLimits } from "../../usecases/call-limits.ts";
import { accessRuleOf } from "../access-rule.ts";
import { setAnswerHeaders } from "../answer-headers.ts";
import { peerOf } from "../peer-context.ts";
import type { Call } from "../request-gate.ts";

/**
 * Has every call admitted that no gate has admitted before, and each message of a stream checked: a key that is revoked, or expires, during a
 * long call opens nothing more from the next message on.
 */
export function createAuthInterceptor({ admit, recheck }: Admission): Interceptor {
  return (next) => async (request) => {
    await admit(request);
    if (!request.stream) return await next(request);
    return await next({ ...request, message: checkedEach(request.message, () => recheck(request)) });
  };
}

/**
 * Lets nobody pass without a key (`X-Api-Key`, or else `Authorization: Bearer`) that has the scope which the method names, nor more often than
 * the limits say: a stream is one call, however many messages it has. Services in `openServices` (health, reflection) ask for none.
 */
export function createAdmission({ authenticate, callLimits, openServices }: AdmissionOptions): Admission {
  const ruleOf = remember(accessRuleOf);
  const kindOf = remember(callKindOf);
  const isOpen = ({ service }: Call): boolean => openServices.has(service.typeName);
  return {
    async admit(call) {
      const { contextValues, method } = call;
      if (isOpen(call) || contextValues.get(isAdmittedKey)) return;
      const principal = await authenticate(credentialsOf(call));
      // Before what it may do is asked: the log of denied calls tells who it was.
      contextValues.set(principalKey, principal);
      const { headers, refusal } = await callLimits.admit(principal, kindOf(method));
      if (headers !== undefined) setAnswerHeaders(call, { ...headers });
      if (refusal !== undefined) throw refusal;
      requireScope(principal, ruleOf(method));
      contextValues.set(isAdmittedKey, true);
    },
    async recheck(call) {
      if (!isOpen(call)) requireScope(await authenticate(credentialsOf(call)), ruleOf(call.method));
    },
  };
}

/** Whether a call may be made. Both throw what `authenticate` and requireScope throw. */
export interface Admission {
  /** Once for each call, before its body is read where that is possible: a call that was admitted is not asked about again. Throws RATE_LIMITED too. */
  admit(call: Call): Promise<void>;
  /** Whether a call that was admitted may go on. It counts for no limit. */
  recheck(call: Call): Promise<void>;
}

export interface AdmissionOptions {
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
const isAdmittedKey = createContextKey<boolean>(false, { description: "is admitted" });

/** A call that has a header for keys is never its connection's: with a key that is missing or garbled in there it would be another caller's. */
function credentialsOf(call: Call): Credentials {
  const { header } = call;
  const peer = peerOf(call);
  const isForKey = header.has("x-api-key") || header.has("authorization");
  return { keyText: keyOf(header), ...peer, ...(isForKey ? { clientCertificate: undefined } : {}) };
}

function keyOf(header: Headers): string | undefined {
  return header.get("x-api-key")?.trim() || /^Bearer +(\S+)$/i.exec(header.get("authorization")?.trim() ?? "")?.[1];
}

async function* checkedEach<Item>(items: AsyncIterable<Item>, check: () => Promise<void>): AsyncGenerator<Item> {
  for await (const item of items) {
    await check();
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
