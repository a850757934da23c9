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
import { TellwireError } from "../../errors.ts";

/** A request of HTTP/1.1 or HTTP/2, as Node.js has it. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;

/** The response to a NodeRequest: the methods that both versions of HTTP share. */
export type NodeResponse = Parameters<typeof universalResponseToNodeResponse>[1];

export type NodeServer = Server | Http2Server | Http2SecureServer;

export type NodeListener = (request: NodeRequest, response: NodeResponse) => void;

/** A certificate with its chain, and its private key, as PEM texts. */
export interface TlsIdentity {
  cert: string;
  key: string;
}

/**
 * What a client may ask of a connection. The time for a request is the time in which it has to arrive whole, not the time for its answer;
 * over HTTP/1.1 only, since a stream over HTTP/2 may stay open.
 */
const connectionLimits = {
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 15_000,
  requestTimeoutMs: 60_000,
  /** Longer than the 60 s after which common load balancers let go of an idle connection: the side that reuses it closes it first. */
  keepAliveTimeoutMs: 65_000,
  maxConcurrentStreams: 256,
  /** After this much silence the kernel asks whether the other side is still there. */
  tcpKeepAliveMs: 30_000,
} as const;

/** A server of HTTP/1.1; with TLS of HTTP/2 too, as the client prefers (ALPN). Throws CONFIG_INVALID for a bad certificate or key. */
export function createWebServer(tls: TlsIdentity | undefined, listener: NodeListener): NodeServer {
  const options = {
    maxHeaderSize: connectionLimits.maxHeaderBytes,
    headersTimeout: connectionLimits.headersTimeoutMs,
    requestTimeout: connectionLimits.requestTimeoutMs,
    keepAliveTimeout: connectionLimits.keepAliveTimeoutMs,
  };
  const server =
    tls === undefined
      ? createHttp1Server(options, listener)
      : createTlsServer({ ...options, ...tls, allowHTTP1: true }, listener);
  return withTcpKeepAlive(server);
}

/** A server of HTTP/2 alone: with TLS, or in the clear with prior knowledge (h2c). Throws CONFIG_INVALID for a bad certificate or key. */
export function createGrpcServer(tls: TlsIdentity | undefined, listener: NodeListener): NodeServer {
  const server = tls === undefined ? createHttp2Server(http2Options, listener) : createTlsServer(tls, listener);
  return withTcpKeepAlive(server);
}

const http2Options = {
  settings: {
    maxConcurrentStreams: connectionLimits.maxConcurrentStreams,
    maxHeaderListSize: connectionLimits.maxHeaderBytes,
  },
  // In MB, for all streams of a connection together: as many streams as allowed may each have a full window (64 KiB) waiting.
  maxSessionMemory: 32,
};

function createTlsServer(options: SecureServerOptions, listener: NodeListener): Http2SecureServer {
  try {
    return createSecureServer({ ...http2Options, ...options, minVersion: "TLSv1.2" }, listener);
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new TellwireError(
      "CONFIG_INVALID",
      `TELLWIRE_TLS_CERT, TELLWIRE_TLS_KEY: cannot be used (${detail}); name a PEM file with the certificate and its chain, and a PEM file with the private key that belongs to it`,
      { cause },
    );
  }
}

function withTcpKeepAlive<S extends NodeServer>(server: S): S {
  // The overloads of `on` differ between the servers; all of them emit this event of net.Server.
  (server as Server).on("connection", (socket) => socket.setKeepAlive(true, connectionLimits.tcpKeepAliveMs));
  return server;
}
