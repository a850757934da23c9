import { type IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, Http2ServerResponse } from "node:http2";

/** A request of node:http, node:https or the compatibility API of node:http2. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;

/** The response that belongs to a HttpRequest: what ServerResponse and Http2ServerResponse share. */
export interface HttpResponse {
  readonly headersSent: boolean;
  readonly writableEnded: boolean;
  getHeader(name: string): number | string | string[] | undefined;
  setHeader(name: string, value: number | string | string[]): unknown;
  writeHead(status: number): unknown;
  write(chunk: string | Uint8Array): boolean;
  end(chunk?: string | Uint8Array): unknown;
  addTrailers(trailers: Record<string, string>): void;
  once(event: "close" | "drain", listener: () => void): unknown;
  off(event: "close" | "drain", listener: () => void): unknown;
}

/** Whether a request comes over HTTP/2, where connections have no headers. */
export function isHttp2(request: HttpRequest): request is Http2ServerRequest {
  // Not by the version alone: over HTTP/1.1 a client may write HTTP/2.0 into its first line.
  return "stream" in request;
}

/** Whether a request may carry a body. False means that there is none; true, that its length is not known before it was read. */
export function mayHaveBody(request: HttpRequest): boolean {
  const length = request.headers["content-length"];
  if (length !== undefined) return length !== "0";
  return isHttp2(request) ? !request.stream.endAfterHeaders : request.headers["transfer-encoding"] !== undefined;
}

/** The values of a header, one for each line that the client sent. Node itself keeps the first line alone for some, such as Content-Type. */
export function headerLines(request: HttpRequest, name: string): string[] {
  const { rawHeaders } = request;
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}

/** One header; its lines are joined where the client sent several. */
export function headerValue(request: HttpRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** The URL as the client meant it, for logs and interceptors: raw, not normalized. */
export function requestUrl(request: HttpRequest): string {
  const target = request.url ?? "/";
  if (!target.startsWith("/")) return target;
  const isTls = "encrypted" in request.socket && request.socket.encrypted === true;
  const authority = headerValue(request, ":authority") ?? headerValue(request, "host") ?? "localhost";
  return `${isTls ? "https" : "http"}://${authority}${target}`;
}

/** Ends an answer that cannot be completed, so that the client sees that it is not complete. */
export function breakOff(response: HttpResponse): void {
  if (response instanceof ServerResponse) response.destroy();
  else if (response instanceof Http2ServerResponse) response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}
