import { idempotencyScope, type RunIdempotently, requestFingerprint } from "../usecases/idempotency.ts";
import type { DialectAnswer, DialectRequest, DialectRoute } from "./dialect.ts";

/**
 * Answers a request that has an Idempotency-Key: what was answered first with this key is answered again, status and body byte for byte. The
 * key belongs to the caller's API key and to the route; another path or body under it throws IDEMPOTENCY_CONFLICT. A request that fails
 * (throws) keeps nothing, and may be sent again with the same key, mended.
 */
export async function answerOnce(
  runIdempotently: RunIdempotently,
  { route, request, key, bodyBytes }: RequestWithKey,
): Promise<DialectAnswer> {
  const { answer, replayed } = await runIdempotently(
    {
      scope: idempotencyScope(request.principal, `${route.method} ${route.path}`),
      key,
      fingerprint: requestFingerprint(`${request.method} ${request.path}`, bodyBytes),
    },
    async () => Buffer.from(JSON.stringify(await route.handle(request))),
  );
  const { headers, ...kept } = JSON.parse(Buffer.from(answer).toString("utf8")) as DialectAnswer;
  return { ...kept, headers: { ...headers, ...(replayed ? { "idempotency-replayed": "true" } : {}) } };
}

export interface RequestWithKey {
  route: DialectRoute;
  request: DialectRequest;
  key: string;
  /** As the body was sent. */
  bodyBytes: Uint8Array;
}
