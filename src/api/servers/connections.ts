import type { Server } from "node:http";
import type { Http2Server } from "node:http2";
import type { Socket } from "node:net";
import type { NodeRequest, NodeResponse, NodeServer } from "./node-server.ts";

/** The connections of one server, and how they end. */
export interface Connections {
  /**
   * Accepts nothing more: the listener closes, connections without a request close at once, and a connection with requests closes when the
   * last of them is answered. HTTP/2 clients are told by GOAWAY, and their later requests refused in a way that lets them try elsewhere.
   */
  stopAccepting(): void;
  /** How many requests are being answered. */
  inFlight(): number;
  /** Resolves when no request is being answered; to be asked after stopAccepting. */
  requestsDone(): Promise<void>;
  /** Resolves when the server has stopped accepting and its last connection is gone. */
  closed: Promise<void>;
  /** Cuts all connections. */
  destroyAll(): void;
}

/** Watches the connections of a server, from before its first one. */
export function trackConnections(nodeServer: NodeServer): Connections {
  // The overloads of `on` differ between the servers. What is used here, all of them have; an event that a server lacks never comes.
  const server = nodeServer as Server & Pick<Http2Server, "on">;
  const sockets = new Set<Socket>();
  /** The connections of HTTP/1.1, with the number of their requests in flight. */
  const http1 = new Map<Socket, number>();
  /** The answers of HTTP/1.1 that are not complete yet. */
  const pending = new Set<NodeResponse>();
  const closed = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  let requests = 0;
  let isStopping = false;

  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };
  const trackHttp1 = (socket: Socket) => {
    http1.set(socket, 0);
    socket.once("close", () => http1.delete(socket));
  };
  server.on("connection", track);
  if ("setSecureContext" in server) {
    server.on("secureConnection", (socket) => socket.alpnProtocol === "h2" || trackHttp1(socket));
  } else if (!("updateSettings" in server)) {
    server.on("connection", trackHttp1);
  }
  // A connection whose TLS handshake ends only now.
  server.on("session", (session) => isStopping && session.close());

  server.on("request", (request: NodeRequest, response: NodeResponse) => {
    const socket = "stream" in request ? undefined : request.socket;
    requests++;
    if (socket !== undefined) http1.set(socket, (http1.get(socket) ?? 0) + 1);
    if (isStopping) endConnectionAfter(response);
    else if (socket !== undefined) pending.add(response);
    response.once("close", () => {
      requests--;
      pending.delete(response);
      if (socket !== undefined && !socket.destroyed) answered(socket);
      if (isStopping && requests === 0) done.resolve();
    });
  });

  function answered(socket: Socket): void {
    const left = (http1.get(socket) ?? 1) - 1;
    http1.set(socket, left);
    // The answer's last bytes may still be on their way: the connection ends after them.
    if (isStopping && left === 0) socket.destroySoon();
  }

  return {
    inFlight: () => requests,
    requestsDone: () => done.promise,
    closed: closed.promise,
    stopAccepting() {
      if (isStopping) return;
      isStopping = true;
      server.close(() => closed.resolve());
      for (const [socket, inFlight] of http1) if (inFlight === 0) socket.destroy();
      for (const response of pending) endConnectionAfter(response);
      if (requests === 0) done.resolve();
    },
    destroyAll() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Tells an HTTP/1.1 client that this is the last answer on its connection. HTTP/2 has no such header (RFC 9113, section 8.2.2). */
function endConnectionAfter(response: NodeResponse): void {
  if (!("stream" in response) && !response.headersSent) response.setHeader("connection", "close");
}
