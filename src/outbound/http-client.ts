import { TellwireError } from "../errors.ts";
import { createConnectionPool } from "./connection-pool.ts";
import { createConnector } from "./connector.ts";
import { createDeadlines } from "./deadlines.ts";
import { type Exchange, type ExchangeRequest, exchange } from "./exchange.ts";
import { createTargetAddresses } from "./target-address.ts";
import type { TargetPolicy } from "./target-url.ts";

/** Sends requests to receivers: HTTP/1.1 only, redirects not followed, nothing decompressed, response head and body bounded. */
export interface HttpClient {
  /**
   * Makes one exchange. What a receiver does is in the answer, never an exception. Rejects with the signal's reason when it aborts, and
   * with SHUTTING_DOWN once the client is closed.
   */
  send(request: ExchangeRequest, signal?: AbortSignal): Promise<Exchange>;
  /** Takes no more requests, waits for those under way, each at most until its deadline, and closes every connection. */
  close(): Promise<void>;
}

export interface HttpClientOptions {
  policy: TargetPolicy;
  userAgent: string;
  /** Certificate authorities in PEM, in place of those that Node trusts. There is no way to switch verification off. */
  tls?: { ca: string | Buffer | readonly (string | Buffer)[] } | undefined;
  /** How many connections to one origin are kept open between requests. */
  maxIdlePerOrigin?: number;
  /** How many connections in all are kept open between requests. */
  maxIdle?: number;
  /** How long a connection is kept open between requests. */
  idleTimeoutMs?: number;
  /** How long a connection is used before the name is looked up, and its addresses checked, anew. */
  maxConnectionAgeMs?: number;
}

/**
 * Makes the one client of a process. It never queues: as many connections work at a time as requests are sent at a time, so that a slow
 * receiver holds up nobody else, and bounding the number of requests under way is the caller's part.
 */
export function createHttpClient(options: HttpClientOptions): HttpClient {
  const { policy, userAgent, tls, maxIdlePerOrigin = 1024, maxIdle = 4096, idleTimeoutMs = 10_000 } = options;
  const { maxConnectionAgeMs: maxAgeMs = 60_000 } = options;
  const connector = createConnector({ policy, ca: tls?.ca });
  const pool = createConnectionPool({ connector, maxIdlePerOrigin, maxIdle, idleTimeoutMs, maxAgeMs });
  const ownHeaders = { "user-agent": userAgent, "accept-encoding": "identity" };
  const addressOf = createTargetAddresses();
  let underWay = 0;
  let isClosed = false;
  const drained = Promise.withResolvers<void>();
  const parts = {
    pool,
    deadlines: createDeadlines(),
    onEnd() {
      underWay -= 1;
      if (isClosed && underWay === 0) drained.resolve();
    },
  };

  return {
    send(request, signal) {
      if (isClosed) return Promise.reject(new TellwireError("SHUTTING_DOWN", "the server is shutting down"));
      const address = addressOf(request.url);
      if (address === undefined) return Promise.resolve(unreadableUrl);
      underWay += 1;
      return exchange(parts, { address, request, ownHeaders }, signal);
    },
    async close() {
      isClosed = true;
      if (underWay === 0) drained.resolve();
      await drained.promise;
      pool.close();
    },
  };
}

const unreadableUrl: Exchange = {
  kind: "failure",
  error: "ADDRESS_REFUSED",
  message: "the URL is not an absolute URL of http or https",
  latencyMs: 0,
};
