import type { Message } from "@bufbuild/protobuf";
import type { StreamAnswer } from "./caller.ts";
import type { MessageEncoder } from "./encode-message.ts";
import type { ErrorResponse } from "./error-response.ts";
import { breakOff, type HttpRequest, type HttpResponse, isHttp2 } from "./http-exchange.ts";
import { acceptQuality, namesMediaType } from "./media-type.ts";
import { writeMetadata } from "./metadata-headers.ts";
import { until } from "./until.ts";

/**
 * Sends a stream of messages as they come, no faster than the client takes them. The headers wait for the first message, so that an error
 * before it is thrown and answered with its own status; a later one is the last line of the stream. Trailers are HTTP trailers. A HEAD gets
 * the headers and ends the call.
 *
 * @throws whatever the stream throws before its first message.
 */
export async function respondStream(
  request: HttpRequest,
  response: HttpResponse,
  answer: StreamAnswer,
  options: StreamOptions,
): Promise<void> {
  const messages = answer.messages[Symbol.asyncIterator]();
  const first = await until(messages.next(), options.signal);
  writeMetadata(response, answer.header);
  const frame = writeStreamHead(response, options, first.done === true ? undefined : first.value);
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  try {
    for (let next = first; next.done !== true; next = await until(messages.next(), options.signal)) {
      await write(response, frame.message(options.encode(next.value).data), options.signal);
    }
    sendTrailers(request, response, answer.trailer);
  } catch (error) {
    if (options.isGone()) return;
    const described = options.describeError(error);
    if (frame.error === undefined) {
      // Raw bytes have no place for an error: a broken connection tells the client that they are not complete.
      breakOff(response);
      return;
    }
    response.write(frame.error(described));
  }
  response.end();
}

export interface StreamOptions {
  readonly format: StreamFormat;
  readonly encode: MessageEncoder;
  readonly signal: AbortSignal;
  /** Whether the client went away, so that nobody is to be told anything. */
  readonly isGone: () => boolean;
  /** What a client is told of an error; it is also where the error is made known. */
  readonly describeError: (error: unknown) => ErrorResponse;
}

/** One JSON object a line, server-sent events, or the bytes of google.api.HttpBody messages one after the other. */
export type StreamFormat = "ndjson" | "sse" | "raw";

/**
 * How a client wants a stream of JSON: server-sent events where it names them and wants nothing else more, else one object a line. A client
 * that accepts only `application/json` gets lines too: each of them is what it asks for. Undefined where it accepts neither.
 */
export function chooseStreamFormat(accept: string | undefined): "ndjson" | "sse" | undefined {
  const events = acceptQuality(accept, eventStream);
  const lines = Math.max(
    ...[ndjson, "application/jsonl", "application/json"].map((type) => acceptQuality(accept, type)),
  );
  if (events > 0 && events >= lines && (namesMediaType(accept, eventStream) || events > lines)) return "sse";
  return lines > 0 ? "ndjson" : undefined;
}

const eventStream = "text/event-stream";
const ndjson = "application/x-ndjson";

interface Frame {
  message(data: Uint8Array): Uint8Array | string;
  error: ((error: ErrorResponse) => string) | undefined;
}

const frames: Readonly<Record<StreamFormat, Frame>> = {
  ndjson: {
    // JSON.stringify writes no line breaks, so a line is an object.
    message: (data) => Buffer.concat([data, newline]),
    error: ({ body }) => `${JSON.stringify(body)}\n`,
  },
  sse: {
    message: (data) => Buffer.concat([dataPrefix, data, newline, newline]),
    error: ({ body }) => `event: error\ndata: ${JSON.stringify(body)}\n\n`,
  },
  raw: { message: (data) => data, error: undefined },
};

const newline = Buffer.from("\n");
const dataPrefix = Buffer.from("data: ");

function writeStreamHead(response: HttpResponse, options: StreamOptions, first: Message | undefined): Frame {
  if (options.format === "sse") {
    response.setHeader("content-type", eventStream);
    response.setHeader("cache-control", "no-store");
    // Reverse proxies of the nginx kind would hold events back.
    response.setHeader("x-accel-buffering", "no");
  } else if (options.format === "ndjson") {
    response.setHeader("content-type", ndjson);
  } else {
    const contentType = first === undefined ? "application/octet-stream" : options.encode(first).contentType;
    response.setHeader("content-type", contentType);
  }
  response.writeHead(200);
  return frames[options.format];
}

function sendTrailers(request: HttpRequest, response: HttpResponse, trailer: Headers): void {
  // An HTTP/1.0 client, and one of HTTP/1.1 that did not say so, drops them; nothing that it needs is among them (RFC 9110, 6.5.1).
  const isChunked = isHttp2(request) || request.httpVersionMinor >= 1;
  const trailers = Object.fromEntries(trailer);
  if (isChunked && Object.keys(trailers).length > 0) response.addTrailers(trailers);
}

async function write(response: HttpResponse, data: Uint8Array | string, signal: AbortSignal): Promise<void> {
  if (response.write(data)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("drain", resolve);
  try {
    await until(promise, signal);
  } finally {
    response.off("drain", resolve);
  }
}
