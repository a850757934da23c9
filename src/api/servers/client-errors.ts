import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { NodeServer } from "./node-server.ts";
import { headersTooLarge, type Refusal, refusalJson, urlTooLong } from "./refusal.ts";
import type { RequestLimits } from "./request-limits.ts";

/**
 * Answers what the parser of HTTP/1.1 gives up on (headers beyond every limit, a request that takes too long, no HTTP at all) in the JSON of
 * AIP-193, and ends the connection. Where the answer could be taken for that of another request, the connection ends without one.
 */
export function answerClientErrors(nodeServer: NodeServer, limits: RequestLimits): void {
  // A server of HTTP/2 alone has no such events: what it cannot read it ends with a code of HTTP/2.
  const server = nodeServer as Server;
  const inFlight = new WeakMap<Socket, Set<Exchange>>();

  server.on("request", (request, response) => {
    if ("stream" in request) return;
    const { socket } = request;
    const exchange = { request, response };
    const exchanges = inFlight.get(socket) ?? new Set();
    inFlight.set(socket, exchanges.add(exchange));
    response.once("close", () => exchanges.delete(exchange));
  });
  server.on("clientError", (error: ClientError, socket: Socket) => {
    const refusal = socket.writable && !isAnsweringAnother(inFlight.get(socket)) && refusalOf(error, limits);
    if (refusal) socket.end(rawAnswer(refusal), () => socket.destroySoon());
    else socket.destroy();
  });
}

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

interface ClientError extends Error {
  code?: string;
  /** What the parser was reading. */
  rawPacket?: Buffer;
}

/** The failed request may be one whose body is still read; an answer that has begun, or is owed to an earlier request, must not be mixed up. */
function isAnsweringAnother(exchanges: ReadonlySet<Exchange> | undefined): boolean {
  if (exchanges === undefined) return false;
  return [...exchanges].some(({ request, response }) => request.complete || response.headersSent);
}

/** Undefined for what is not a request's fault, such as a broken connection or a TLS handshake that fails: there is nobody to be told. */
function refusalOf(error: ClientError, limits: RequestLimits): Refusal | undefined {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return isLongLine(error.rawPacket, limits.maxUrlBytes) ? urlTooLong(limits) : headersTooLarge(limits);
    case "ERR_HTTP_REQUEST_TIMEOUT": {
      const { headersTimeoutMs, bodyTimeoutMs } = limits;
      const message = `the request took too long to arrive: its headers have ${headersTimeoutMs} ms, its body ${bodyTimeoutMs} ms`;
      return { reason: "REQUEST_TIMEOUT", httpStatus: 408, message };
    }
    case "HPE_CHUNK_EXTENSIONS_OVERFLOW":
      return {
        reason: "BODY_TOO_LARGE",
        httpStatus: 413,
        message: "the extensions of the body's chunks are too large",
      };
    default:
      if (error.code?.startsWith("HPE_") !== true) return undefined;
      return { reason: "MALFORMED_REQUEST", httpStatus: 400, message: "this is no request of HTTP/1.1" };
  }
}

/** Whether a request line is what is too long. One that comes in several packets is taken for headers. */
function isLongLine(packet: Buffer | undefined, maxBytes: number): boolean {
  if (packet === undefined || !/^[A-Z]+ /.test(packet.toString("latin1", 0, 16))) return false;
  const end = packet.indexOf("\n");
  return end < 0 || end > maxBytes;
}

function rawAnswer(refusal: Refusal): string {
  const body = refusalJson(refusal);
  const head = [
    `HTTP/1.1 ${refusal.httpStatus} ${statusTexts[refusal.httpStatus] ?? "Bad Request"}`,
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(body)}`,
    "cache-control: no-store",
    "connection: close",
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}

const statusTexts: Readonly<Record<number, string>> = {
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  431: "Request Header Fields Too Large",
};
