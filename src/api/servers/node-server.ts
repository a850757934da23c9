import { createServer as createHttp1Server, type IncomingMessage, type Server } from "node:http";
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type SecureServerOptions,
} from "node:http2";
import type { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { maxParsedHeaderBytes, type RequestLimits } from "./request-limits.ts";
import { type ServerTls, type TlsIdentity, tlsServerOptions } from "./server-tls.ts";

/** A request of HTTP/1.1 or HTTP/2, as Node.js has it. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;

/** The response to a NodeRequest: the methods that both versions of HTTP share. */
export type NodeResponse = Parameters<typeof universalResponseToNodeResponse>[1];

export type NodeServer = Server | Http2Server | Http2SecureServer;

export type NodeListener = (request: NodeRequest, response: NodeResponse) => void;

/** Longer than the 60 s after which common load balancers let go of an idle connection: the side that reuses it closes it first. */
const keepAliveTimeoutMs = 65_000;

/** After this much silence the kernel asks whether the other side is still there. */
const tcpKeepAliveMs = 30_000;

/** How late a timeout of HTTP/1.1 may be noticed, as a part of it. */
const timeoutAccuracy = 1 / 8;

/** A server of HTTP/1.1; with TLS of HTTP/2 too, as the client prefers (ALPN). Throws CONFIG_INVALID for a bad certificate or key. */
export function createWebServer(
  tls: TlsIdentity | undefined,
  limits: RequestLimits,
  listener: NodeListener,
): NodeServer {
  const { headersTimeoutMs, bodyTimeoutMs } = limits;
  const options = {
    maxHeaderSize: maxParsedHeaderBytes(limits),
    headersTimeout: headersTimeoutMs,
    // Whoever reads the body answers earlier; this is for bodies that nobody reads.
    requestTimeout: headersTimeoutMs + bodyTimeoutMs,
    connectionsCheckingInterval: Math.ceil(headersTimeoutMs * timeoutAccuracy),
    keepAliveTimeout: keepAliveTimeoutMs,
  };
  const server =
    tls === undefined
      ? createHttp1Server(options, listener)
      : createTlsServer({ ...options, ...tlsServerOptions(tls), allowHTTP1: true }, limits, listener);
  // By default headers beyond the 2000th are dropped in silence. Their size is limited as it is.
  (server as Server).maxHeadersCount = 0;
  return prepare(server, limits);
}

/**
 * A server of HTTP/2 alone: with TLS, or in the clear with prior knowledge (h2c). With TLS it may ask clients for certificates. Throws
 * CONFIG_INVALID for a certificate, a key or an authority that cannot be used.
 */
export function createGrpcServer(
  tls: ServerTls | undefined,
  limits: RequestLimits,
  listener: NodeListener,
): NodeServer {
  const server =
    tls === undefined
      ? createHttp2Server(http2Options(limits), listener)
      : createTlsServer(tlsServerOptions(tls), limits, listener);
  return prepare(server, limits);
}

/**
 * Has connections from now on use another certificate, key and authorities; those that are there stay as they are. Throws CONFIG_INVALID, and
 * changes nothing, where they cannot be used. Without TLS there is nothing to renew.
 */
export function renewTls(server: NodeServer, tls: ServerTls): void {
  if ("setSecureContext" in server) server.setSecureContext(tlsServerOptions(tls));
}

function http2Options(limits: RequestLimits) {
  return {
    settings: {
      maxConcurrentStreams: limits.maxConcurrentStreams,
      maxHeaderListSize: maxParsedHeaderBytes(limits),
    },
    // In MB, for all streams of a connection together: as many streams as allowed may each have a full window (64 KiB) waiting.
    maxSessionMemory: 32,
  };
}

function createTlsServer(
  options: SecureServerOptions,
  limits: RequestLimits,
  listener: NodeListener,
): Http2SecureServer {
  return createSecureServer(
    { ...http2Options(limits), ...options, handshakeTimeout: limits.headersTimeoutMs },
    listener,
  );
}

function prepare(server: NodeServer, { headersTimeoutMs }: RequestLimits): NodeServer {
  // The overloads of `on` differ between the servers. A server emits those of these events that it has.
  const events = server as Server & Pick<Http2Server, "on">;
  events.on("connection", (socket) => socket.setKeepAlive(true, tcpKeepAliveMs));
  events.on("session", (session) => {
    // A connection of HTTP/2 on which nothing is ever asked, or not even HTTP/2 spoken.
    const timer = setTimeout(() => session.close(), headersTimeoutMs);
    session.once("stream", () => clearTimeout(timer));
    session.once("close", () => clearTimeout(timer));
  });
  return server;
}
