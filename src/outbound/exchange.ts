import type { Dispatcher } from "undici";
import type { Connection, ConnectionPool } from "./connection-pool.ts";
import type { Deadlines } from "./deadlines.ts";
import { type ExchangeError, ExchangeFailure, headTooLarge, toExchangeFailure } from "./exchange-failure.ts";
import { createResponseBody, type ResponseBody } from "./response-body.ts";
import type { TargetAddress } from "./target-address.ts";

/** A request to a receiver. */
export interface ExchangeRequest {
  method: "POST" | "GET" | "OPTIONS";
  url: string;
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>;
  body?: Buffer | undefined;
  /** For the whole exchange: lookup, connection, request, and the response to its last byte. */
  timeoutMs: number;
  /** How much of the response's body is read and kept. What is longer is cut off, and its connection closed. */
  maxResponseBytes: number;
}

/** Names in lower case; a list where a name came more than once. */
export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What came of a request. Everything that a receiver can do is in here. */
export type Exchange =
  | {
      kind: "response";
      status: number;
      headers: ResponseHeaders;
      body: Buffer;
      /** The body was longer than what is kept. */
      truncated: boolean;
      /** Whole milliseconds. */
      latencyMs: number;
    }
  | { kind: "failure"; error: ExchangeError; message: string; latencyMs: number };

/** A request, and what its client knows of it. */
export interface DispatchedRequest {
  request: ExchangeRequest;
  address: TargetAddress;
  /** What the client says about itself, where the request does not say otherwise. Names in lower case. */
  ownHeaders: Readonly<Record<string, string>>;
}

/**
 * Makes one exchange. Never rejects for what a receiver does; rejects with the signal's reason when the signal aborts.
 *
 * A receiver may close a connection in the moment in which it is used again. Where a used connection breaks before the first byte of a
 * response, the request is sent once more on a new one, within the same deadline (RFC 9112, 9.3.1, allows it because a delivery may
 * arrive twice with one webhook-id). A new connection that breaks is a failure.
 */
export function exchange(
  { pool, deadlines, onEnd }: ExchangeParts,
  { request, address, ownHeaders }: DispatchedRequest,
  signal?: AbortSignal,
): Promise<Exchange> {
  const { origin, path } = address;
  const { method, headers, body = null, timeoutMs, maxResponseBytes } = request;
  const options: Dispatcher.DispatchOptions = {
    origin,
    path,
    method,
    headers: { ...ownHeaders, ...headers },
    body,
    // No other request waits behind this one on its connection, so that there is nothing to hold back until the response begins.
    blocking: false,
  };

  return new Promise((resolve, reject) => {
    const startedMs = performance.now();
    let isSettled = false;
    let connection: Connection | undefined;
    const deadline = deadlines.set(startedMs + timeoutMs, onDeadline);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    else start(pool.acquire(origin));

    function start(next: Connection): void {
      connection = next;
      let status = 0;
      let responseHeaders: ResponseHeaders = NO_HEADERS;
      let responseBody: ResponseBody | undefined;
      let hasAnswered = false;

      next.dispatch(options, {
        onRequestStart: doNothing,
        onResponseStarted() {
          hasAnswered = true;
        },
        onResponseStart(_controller, statusCode, receivedHeaders) {
          // Informational responses (1xx) come before the one that counts.
          status = statusCode;
          responseHeaders = receivedHeaders;
          next.noteProgress();
          if (sizeOf(receivedHeaders) > MAX_HEAD_BYTES) fail(headTooLarge());
        },
        onResponseData(_controller, chunk) {
          next.noteProgress();
          if (isSettled) return;
          responseBody ??= createResponseBody(maxResponseBytes);
          if (responseBody.append(chunk) === "full") respond(true);
        },
        onResponseEnd() {
          if (!isSettled) respond(false);
        },
        onResponseError(_controller, error) {
          if (isSettled) return;
          const failure = toExchangeFailure(error);
          const isStale = failure.error === "CONNECTION" && !hasAnswered && next.isReused();
          next.destroy();
          if (isStale) start(pool.open(origin));
          else fail(failure);
        },
      });

      function respond(truncated: boolean): void {
        settle();
        if (truncated) next.destroy();
        else next.release();
        resolve({
          kind: "response",
          status,
          headers: responseHeaders,
          body: responseBody?.bytes() ?? NO_BODY,
          truncated,
          latencyMs: millisecondsSince(startedMs),
        });
      }
    }

    function onDeadline(): void {
      fail(new ExchangeFailure("TIMEOUT", `no complete response within ${timeoutMs} ms`));
    }

    function onAbort(): void {
      settle();
      connection?.destroy();
      reject(signal?.reason);
    }

    function fail({ error, message }: ExchangeFailure): void {
      settle();
      connection?.destroy();
      resolve({ kind: "failure", error, message, latencyMs: millisecondsSince(startedMs) });
    }

    function settle(): void {
      if (isSettled) return;
      isSettled = true;
      deadlines.clear(deadline);
      signal?.removeEventListener("abort", onAbort);
      onEnd();
    }
  });
}

/** What the exchanges of a process share. */
export interface ExchangeParts {
  pool: ConnectionPool;
  deadlines: Deadlines;
  /** Called once for each exchange, when it is over. */
  onEnd: () => void;
}

const NO_HEADERS: ResponseHeaders = {};
const NO_BODY = Buffer.alloc(0);

function doNothing(): void {}

/** In whole milliseconds, from a time on the clock of `performance.now`. */
function millisecondsSince(startedMs: number): number {
  return Math.round(performance.now() - startedMs);
}

/** Of a response's head; a connection bounds what it reads of one that is not complete. */
const MAX_HEAD_BYTES = 16 * 1024;

/** Characters of names and values, as many as bytes. */
function sizeOf(headers: ResponseHeaders): number {
  let size = 0;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value === "string") size += name.length + value.length;
    else for (const each of value ?? []) size += name.length + each.length;
  }
  return size;
}
