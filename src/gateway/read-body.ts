import type { RequestBody } from "./bind-body.ts";
import { decodeContent } from "./content-coding.ts";
import { GatewayError } from "./gateway-error.ts";
import { type HttpRequest, headerLines, headerValue, isHttp2, mayHaveBody } from "./http-exchange.ts";
import { isJsonContentType } from "./media-type.ts";

/**
 * Reads a request's body: all of it, decompressed, at most `maxBytes` before and after. A body must be JSON unless `acceptsAnyType`; one
 * without a Content-Type is taken for it, and an empty one needs none.
 *
 * @throws {GatewayError} UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_ENCODING, BODY_TOO_LARGE, MALFORMED_BODY, REQUEST_TIMEOUT, CLIENT_GONE.
 * @throws the reason of the signal, when it is aborted first.
 */
export async function readBody(request: HttpRequest, options: ReadBodyOptions): Promise<RequestBody> {
  if (!mayHaveBody(request)) return { contentType: readContentType(request), bytes: noBytes };
  const raw = await readBytes(request, options);
  const contentType = readContentType(request);
  if (!options.acceptsAnyType && raw.length > 0 && contentType !== "" && !isJsonContentType(contentType)) {
    const message = `the Content-Type ${JSON.stringify(contentType)} is not taken: send application/json`;
    throw new GatewayError("UNSUPPORTED_MEDIA_TYPE", message, { headers: { accept: "application/json" } });
  }
  const bytes = await decodeContent(headerValue(request, "content-encoding"), raw, options.maxBytes);
  return { contentType, bytes };
}

export interface ReadBodyOptions {
  maxBytes: number;
  acceptsAnyType: boolean;
  /** In which the body must have arrived whole, in milliseconds. */
  timeoutMs: number;
  signal: AbortSignal;
}

/** Makes sure that a request has no body. @throws {GatewayError} UNEXPECTED_BODY where it has one. */
export async function refuseBody(
  request: HttpRequest,
  limits: { timeoutMs: number; signal: AbortSignal },
): Promise<void> {
  if (!mayHaveBody(request)) return;
  try {
    await readBytes(request, { ...limits, maxBytes: 0 });
  } catch (error) {
    if (!(error instanceof GatewayError) || error.reason !== "BODY_TOO_LARGE") throw error;
    const message = `${request.method} takes no body here: the fields of the request are in the path and the query`;
    throw new GatewayError("UNEXPECTED_BODY", message);
  }
}

/**
 * Reads and drops the body of a request that is refused before it was read, so that the next request on its connection is answered. Over HTTP/2,
 * where a client may keep the rest for as long as the connection lasts, the stream is closed when the body has not ended within `timeoutMs`.
 */
export function leaveBody(request: HttpRequest, timeoutMs: number): void {
  if (!mayHaveBody(request)) return;
  discardRest(request);
  if (!isHttp2(request)) return;
  const { stream } = request;
  const timer = setTimeout(() => stream.close(), timeoutMs);
  stream.once("close", () => clearTimeout(timer));
}

const noBytes = new Uint8Array();

function readContentType(request: HttpRequest): string {
  const lines = headerLines(request, "content-type");
  if (lines.length > 1) throw new GatewayError("UNSUPPORTED_MEDIA_TYPE", "Content-Type is given twice: send it once");
  return lines[0]?.trim() ?? "";
}

function readBytes(
  request: HttpRequest,
  { maxBytes, timeoutMs, signal }: Pick<ReadBodyOptions, "maxBytes" | "timeoutMs" | "signal">,
): Promise<Uint8Array> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
    discardRest(request);
    return Promise.reject(tooLarge(maxBytes));
  }
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const timer = setTimeout(() => fail(tooSlow(timeoutMs)), timeoutMs);
    const onData = (chunk: Uint8Array) => {
      length += chunk.length;
      if (length > maxBytes) fail(tooLarge(maxBytes));
      else chunks.push(chunk);
    };
    const onEnd = () => {
      stop();
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length));
    };
    const onGone = (cause?: unknown) =>
      fail(new GatewayError("CLIENT_GONE", "the client went away while it sent the body", { cause }));
    const onAbort = () => fail(signal.reason);
    function fail(reason: unknown): void {
      stop();
      discardRest(request);
      reject(reason);
    }
    function stop(): void {
      clearTimeout(timer);
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
      signal.removeEventListener("abort", onAbort);
    }
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);
    request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError("BODY_TOO_LARGE", `the request body is larger than ${maxBytes} bytes`);
}

function tooSlow(timeoutMs: number): GatewayError {
  return new GatewayError("REQUEST_TIMEOUT", `the request body did not arrive whole within ${timeoutMs} ms`);
}

/** How much of a refused body is still read, so that a client that sends before it listens gets the answer and no reset connection. */
const maxDiscardedBytes = 4 * 1024 * 1024;

function discardRest(request: HttpRequest): void {
  let discarded = 0;
  // A client that goes away now changes nothing any more.
  request.on("error", () => undefined);
  request.on("data", (chunk: Uint8Array) => {
    discarded += chunk.length;
    if (discarded > maxDiscardedBytes) request.destroy();
  });
  request.resume();
}
