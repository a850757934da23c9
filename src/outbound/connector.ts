import { connect as connectTcp, isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, createSecureContext, type TLSSocket } from "node:tls";
import { LRUCache } from "lru-cache";
import { ExchangeFailure, tlsFailure } from "./exchange-failure.ts";
import { checkHost } from "./target-host.ts";
import { checkPort, checkScheme, hostOf, portOf, type TargetPolicy } from "./target-url.ts";

/**
 * Opens a socket to a URL's origin. Calls back once: with the socket when it is ready for a request, or with an ExchangeFailure. Answers
 * with the socket that is being opened, so that it can be destroyed meanwhile; then there is no call back.
 */
export type Connector = (
  origin: URL,
  callback: (failure: ExchangeFailure | null, socket: Socket | null) => void,
) => Socket | undefined;

export interface ConnectorOptions {
  policy: TargetPolicy;
  /** Certificate authorities in PEM, in place of those that Node trusts. */
  ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
}

/**
 * Makes the one way out: scheme, port and address are checked against the policy here, whatever was checked before, because names and
 * policies change. Certificates are always verified, whatever NODE_TLS_REJECT_UNAUTHORIZED says; TLS 1.2 is the least.
 */
export function createConnector({ policy, ca }: ConnectorOptions): Connector {
  const secureContext = createSecureContext({
    minVersion: "TLSv1.2",
    ...(ca === undefined ? {} : { ca: [ca].flat() }),
  });
  const sessions = new LRUCache<string, Buffer>({
    max: 1000,
    maxSize: 16 * 1024 * 1024,
    sizeCalculation: ({ length }) => length,
  });

  return (origin, callback) => {
    const refusal = refuse(origin, policy);
    if (refusal) {
      queueMicrotask(() => callback(refusal, null));
      return undefined;
    }
    const tcpOptions = {
      host: hostOf(origin),
      port: portOf(origin),
      lookup: policy.guard.lookup,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: 500,
    };
    if (origin.protocol === "http:") return watch(connectTcp(tcpOptions), "connect", callback);

    const session = sessions.get(origin.host);
    const tlsOptions: ConnectionOptions = {
      ...tcpOptions,
      secureContext,
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1"],
      // A server's name has no dot at its end (RFC 6066, 3), and an address is none.
      ...(isIP(tcpOptions.host) === 0 ? { servername: tcpOptions.host.replace(/\.$/, "") } : {}),
      ...(session ? { session } : {}),
    };
    const socket = connectTls(tlsOptions);
    socket.on("session", (ticket) => sessions.set(origin.host, ticket));
    return watch(socket, "secureConnect", callback);
  };
}

function refuse(origin: URL, policy: TargetPolicy): ExchangeFailure | undefined {
  const refusal = checkScheme(origin, policy) ?? checkPort(origin, policy) ?? checkHost(hostOf(origin), policy.guard);
  return refusal === undefined ? undefined : new ExchangeFailure("ADDRESS_REFUSED", `the URL ${refusal}`);
}

function watch<S extends Socket | TLSSocket>(
  socket: S,
  readyEvent: "connect" | "secureConnect",
  callback: (failure: ExchangeFailure | null, socket: Socket | null) => void,
): S {
  let isTcpConnected = false;
  socket.setNoDelay(true).setKeepAlive(true, 60_000);
  const onConnect = () => {
    isTcpConnected = true;
  };
  const onError = (error: Error) => {
    // From here on the socket has no user: a later error of it says nothing new.
    socket.on("error", () => {});
    callback(connectFailure(error, isTcpConnected), null);
  };
  socket.once("connect", onConnect);
  socket.once("error", onError);
  socket.once(readyEvent, () => {
    socket.off("error", onError);
    callback(null, socket);
  });
  return socket;
}

function connectFailure(error: Error, isTcpConnected: boolean): ExchangeFailure {
  if (error instanceof ExchangeFailure) return error;
  if (isTcpConnected) return tlsFailure(error);
  return new ExchangeFailure("CONNECTION", "no connection could be made", error);
}
