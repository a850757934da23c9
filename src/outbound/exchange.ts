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
export function exchange(parts: ExchangeParts, dispatched: DispatchedRequest, signal?: AbortSignal): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const running = new RunningExchange(parts, dispatched, resolve);
    try {
      if (signal === undefined) running.start();
      else running.startUnlessAborted(signal, reject);
    } catch (error) {
      // Our own failure: it is over for whoever counts exchanges.
      running.abandon();
      reject(error);
    }
  });
}

/** One object, where functions that share their variables would be a dozen objects for each exchange, which is half a microsecond. */
class RunningExchange implements Dispatcher.DispatchHandler {
  private readonly parts: ExchangeParts;
  private readonly dispatched: DispatchedRequest;
  private readonly resolve: (exchange: Exchange) => void;
  private readonly startedMs = performance.now();
  private readonly deadline: number;
  private stopListening: (() => void) | undefined;
  private connection: Connection | undefined;
  private isSettled = false;
  private hasAnswered = false;
  private status = 0;
  private headers: ResponseHeaders = NO_HEADERS;
  private body: ResponseBody | undefined;

  constructor(parts: ExchangeParts, dispatched: DispatchedRequest, resolve: (exchange: Exchange) => void) {
    this.parts = parts;
    this.dispatched = dispatched;
    this.resolve = resolve;
    const { timeoutMs } = dispatched.request;
    this.deadline = parts.deadlines.set(this.startedMs + timeoutMs, () =>
      this.fail(new ExchangeFailure("TIMEOUT", `no complete response within ${timeoutMs} ms`)),
    );
  }

  start(): void {
    this.dispatch(this.parts.pool.acquire(this.dispatched.address.origin));
  }

  startUnlessAborted(signal: AbortSignal, reject: (reason: unknown) => void): void {
    const onAbort = () => {
      this.abandon();
      reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.stopListening = () => signal.removeEventListener("abort", onAbort);
    if (signal.aborted) onAbort();
    else this.start();
  }

  onRequestStart(): void {}

  onResponseStarted(): void {
    this.hasAnswered = true;
  }

  onResponseStart(_controller: unknown, status: number, headers: ResponseHeaders): void {
    // Informational responses (1xx) come before the one that counts.
    this.status = status;
    this.headers = headers;
    this.connection?.noteProgress();
    if (sizeOf(headers) > MAX_HEAD_BYTES) this.fail(headTooLarge());
  }

  onResponseData(_controller: unknown, chunk: Buffer): void {
    this.connection?.noteProgress();
    if (this.isSettled) return;
    this.body ??= createResponseBody(this.dispatched.request.maxResponseBytes);
    if (this.body.append(chunk) === "full") this.respond(true);
  }

  onResponseEnd(): void {
    if (!this.isSettled) this.respond(false);
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.isSettled) return;
    const failure = toExchangeFailure(error);
    const isStale = failure.error === "CONNECTION" && !this.hasAnswered && this.connection?.isReused();
    this.connection?.destroy();
    if (isStale) this.dispatch(this.parts.pool.open(this.dispatched.address.origin));
    else this.fail(failure);
  }

  private dispatch(connection: Connection): void {
    const { address, request, ownHeaders } = this.dispatched;
    const { method, body = null } = request;
    this.connection = connection;
    connection.dispatch(
      {
        origin: address.origin,
        path: address.path,
        method,
        headers: { ...ownHeaders, ...request.headers },
        body,
        // No other request waits behind this one on its connection, so that there is nothing to hold back until the response begins.
        blocking: false,
      },
      this,
    );
  }

  private respond(truncated: boolean): void {
    this.settle();
    if (truncated) this.connection?.destroy();
    else this.connection?.release();
    this.resolve({
      kind: "response",
      status: this.status,
      headers: this.headers,
      body: this.body?.bytes() ?? NO_BODY,
      truncated,
      latencyMs: this.elapsedMs(),
    });
  }

  /** Ends it without a word to whoever waits. */
  abandon(): void {
    this.settle();
    this.connection?.destroy();
  }

  private fail({ error, message }: ExchangeFailure): void {
    this.abandon();
    this.resolve({ kind: "failure", error, message, latencyMs: this.elapsedMs() });
  }

  private settle(): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.parts.deadlines.clear(this.deadline);
    this.stopListening?.();
    this.parts.onEnd();
  }

  private elapsedMs(): number {
    return Math.round(performance.now() - this.startedMs);
  }
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
