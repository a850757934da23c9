import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { type DialectFailure, DialectFailureError } from "./dialect.ts";

/** What a request's body may take at most. */
export interface BodyLimits {
  maxBytes: number;
  /** In which the body must have arrived whole, in milliseconds. */
  timeoutMs: number;
}

/**
 * Reads a request's body. Throws a DialectFailureError for one that is too large, arrives too slowly, or ends early because its client went
 * away: none of these is the server's fault. What comes after a refusal is left to `discardRest`.
 */
export function readBodyBytes(
  request: IncomingMessage | Http2ServerRequest,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
    return Promise.reject(new DialectFailureError({ kind: "too large", maxBytes }));
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => fail({ kind: "too slow", timeoutMs }), timeoutMs);
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > maxBytes) fail({ kind: "too large", maxBytes });
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      stop();
      resolve(Buffer.concat(chunks, size));
    };
    const onGone = (): void => fail({ kind: "malformed JSON", message: "it ends early, for the client went away" });
    function fail(failure: DialectFailure): void {
      stop();
      reject(new DialectFailureError(failure));
    }
    function stop(): void {
      clearTimeout(timer);
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
      // A client that goes away from now on changes nothing any more.
      request.on("error", () => undefined);
    }
    if (request.destroyed) return onGone();
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}

/**
 * Reads on in what nobody wants any more, so that a client that sends all of its body before it listens gets its answer and no reset
 * connection. After 4 MiB of it the connection, or the stream of HTTP/2, is cut, and a stream that has not ended after `patienceMs`: a connection
 * of HTTP/1.1 on which nothing more comes is ended by Node itself.
 */
export function discardRest(request: IncomingMessage | Http2ServerRequest, patienceMs: number): void {
  let discarded = 0;
  if ("stream" in request) {
    const timer = setTimeout(() => cutOff(request), patienceMs);
    request.stream.once("close", () => clearTimeout(timer));
  }
  request.on("error", () => undefined);
  request.on("data", (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > maxDiscardedBytes) cutOff(request);
  });
  request.resume();
}

/** Takes no more of a request: its connection ends, or over HTTP/2 its stream. */
export function cutOff(request: IncomingMessage | Http2ServerRequest): void {
  // RFC 9113, section 8.1: NO_ERROR after a complete answer asks the client to stop sending.
  if ("stream" in request) request.stream.close();
  else request.destroy();
}

const maxDiscardedBytes = 4 * 1024 * 1024;
