import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type JsonValue,
  type MessageShape,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { MethodImpl, ServiceImpl } from "@connectrpc/connect";
import { idempotencyScope, type RunIdempotently, requestFingerprint } from "../../usecases/idempotency.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";

/**
 * Honours `idempotency-key` in the unary methods of a service that change something: the first call with a key is carried out, and those that
 * follow it get the same message again, with the header `idempotency-replayed: true`. Around the handlers and not an interceptor: a call that
 * authentication or validation refuses spends no key, and only a handler can add to the headers that a protocol has set already. Calls throw
 * what `runIdempotently` throws.
 */
export function withIdempotencyKeys<Service extends DescService>(
  service: Service,
  handlers: ServiceImpl<Service>,
  runIdempotently: RunIdempotently,
): ServiceImpl<Service> {
  const byName = handlers as Record<string, MethodImpl<DescMethodUnary>>;
  const wrapped = service.methods.flatMap((method) => {
    const handler = byName[method.localName];
    const changesNothing = method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
    if (handler === undefined || method.methodKind !== "unary" || changesNothing) return [];
    return [[method.localName, withIdempotencyKey(method as DescMethodUnary, handler, runIdempotently)]];
  });
  return { ...handlers, ...Object.fromEntries(wrapped) };
}

function withIdempotencyKey(
  method: DescMethodUnary,
  handler: MethodImpl<DescMethodUnary>,
  runIdempotently: RunIdempotently,
): MethodImpl<DescMethodUnary> {
  const name = `${method.parent.typeName}/${method.name}`;
  return async (request, context) => {
    const key = context.requestHeader.get("idempotency-key");
    if (key === null) return await handler(request, context);
    const scope = idempotencyScope(principalOf(context), name);
    const fingerprint = requestFingerprint(name, canonicalBytes(method.input, request));
    const { answer, replayed } = await runIdempotently({ scope, key, fingerprint }, async () =>
      toBinary(method.output, create(method.output, await handler(request, context))),
    );
    if (replayed) context.responseHeader.set("idempotency-replayed", "true");
    return fromBinary(method.output, answer);
  };
}

/**
 * The same bytes for the same message, whatever order a client writes the entries of its maps in. A message that JSON cannot say stands as it
 * came.
 */
function canonicalBytes<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(toJson(schema, message), sortedMembers));
  } catch {
    return toBinary(schema, message);
  }
}

/** A replacer that writes the members of objects in the order of their names. */
function sortedMembers(_name: string, value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
