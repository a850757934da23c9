/** What one client may ask of a server, over every protocol. */
export interface RequestLimits {
  /** The most that a request target (path and query) may have, in bytes. RFC 9110, section 4.1, asks for 8000 at the least. */
  maxUrlBytes: number;
  /** The most that the headers of a request may have together, in bytes, without its first line. */
  maxHeaderBytes: number;
  /** In which the headers of a request must have arrived; for HTTP/2 those of a connection's first one; and a TLS handshake. Milliseconds. */
  headersTimeoutMs: number;
  /** In which a body must have arrived whole after its headers, in milliseconds. The messages of a client's stream may take as long as they like. */
  bodyTimeoutMs: number;
  /** For which a client may take nothing of an answer that waits for it, in milliseconds. */
  unreadTimeoutMs: number;
  /** How many requests one connection of HTTP/2 may have open. */
  maxConcurrentStreams: number;
}

export const defaultRequestLimits: RequestLimits = {
  maxUrlBytes: 8 * 1024,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 15_000,
  bodyTimeoutMs: 60_000,
  unreadTimeoutMs: 60_000,
  maxConcurrentStreams: 256,
};

/**
 * What a parser takes before it gives up, in bytes: more than the limits, so that a request a little beyond one of them is still understood,
 * and answered in its own protocol with the limit's name.
 */
export function maxParsedHeaderBytes({ maxUrlBytes, maxHeaderBytes }: RequestLimits): number {
  return maxUrlBytes + maxHeaderBytes + 8 * 1024;
}
