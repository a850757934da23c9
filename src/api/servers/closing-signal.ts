import { createContextKey } from "@connectrpc/connect";

/**
 * In the context values of every RPC: a signal that aborts as soon as this process begins to shut down. A unary call need not look at it; a call
 * that streams ends itself in good order (see untilAborted), so that it does not use up the time that is left for the others. The
 * signal of the handler's context is another one: it aborts only when that time is over.
 */
export const closingSignalKey = createContextKey<AbortSignal>(new AbortController().signal, {
  description: "aborts when the shutdown begins",
});
