import { type ContextValues, createContextKey, createContextValues } from "@connectrpc/connect";
import type { Peer } from "../usecases/authenticate.ts";

/** Values for a new call, in which the interceptors find its peer. */
export function peerContext(peer: Peer): ContextValues {
  return createContextValues().set(peerKey, peer);
}

/** Who is on the other side of a call. A transport that knows nothing of it, as within a process, leaves everything open. */
export function peerOf({ contextValues }: { contextValues: ContextValues }): Peer {
  return contextValues.get(peerKey);
}

const nobody: Peer = {
  origin: { address: undefined, userAgent: undefined, requestId: undefined },
  clientCertificate: undefined,
};

const peerKey = createContextKey<Peer>(nobody, { description: "peer" });
