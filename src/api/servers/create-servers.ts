import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { answerClientErrors } from "./client-errors.ts";
import { trackConnections } from "./connections.ts";
import type { HealthSource } from "./health-source.ts";
import { type ListenAddress, listen } from "./listen.ts";
import {
  createGrpcServer,
  createWebServer,
  type NodeRequest,
  type NodeResponse,
  type NodeServer,
  renewTls,
} from "./node-server.ts";
import { createProbes, type ProbesOptions } from "./probes.ts";
import { findOtherVersion, findOversize, sendRefusal } from "./refusal.ts";
import { defaultRequestLimits, type RequestLimits } from "./request-limits.ts";
import { isGrpcRequest, sendError, sendGrpcUnimplemented } from "./responses.ts";
import { createRpcHandler, type RpcHandlerOptions } from "./rpc-handler.ts";
import type { ServerTls } from "./server-tls.ts";
import { createServingState } from "./serving-state.ts";
import { cutUnreadAnswer } from "./unread-answers.ts";
import { endAfterAnswer } from "./unwanted-body.ts";

export interface ServersOptions
  extends Pick<RpcHandlerOptions, "routes" | "gate" | "interceptors" | "readPeer" | "maxBodyBytes" | "healthPollMs"> {
  /** Connect, gRPC-Web, the probes and the gateway. */
  http: ListenAddress;
  /** gRPC, over h2c where there is no TLS. */
  grpc: ListenAddress;
  /** For both ports; only the one of gRPC asks clients for certificates. */
  tls?: ServerTls | undefined;
  /** Sees each request on the HTTP port first. True: it has answered it. */
  first?: ((request: NodeRequest, response: NodeResponse) => boolean) | undefined;
  /** Answers every request on the HTTP port that is neither for an RPC nor for a probe. */
  gateway?: ((request: NodeRequest, response: NodeResponse) => Promise<void> | void) | undefined;
  /** Where one is left out, the default holds. */
  limits?: Partial<RequestLimits>;
  health: HealthSource;
  metrics?: ProbesOptions["metrics"];
  log: Pick<Logger, "debug" | "warn" | "error">;
}

/** The two ports of the service. */
export interface Servers {
  /** Listens on both ports or none. Throws CONFIG_INVALID, with the variable and the fix, for an address that cannot be had. */
  listen(): Promise<{ httpUrl: string; grpcUrl: string }>;
  /**
   * Has new connections use another certificate, key and authorities. Throws CONFIG_INVALID, and changes nothing, where they cannot be used. For
   * servers that began with TLS.
   */
  renewTls(tls: ServerTls): void;
  /** From now on health checks and /readyz say that this process does not serve, while it still does: for load balancers to turn away. */
  announceClose(): void;
  /**
   * Announces the close, accepts nothing more, gives requests in flight the grace to finish, and cuts what is left then. Connections whose last
   * answer is still being sent have `lingerMs` for it (left out: 3 s). Resolves when both ports and all connections are closed. Further calls
   * wait for the first.
   */
  close(options: { graceMs: number; lingerMs?: number }): Promise<void>;
}

/** Prepares both servers; nothing listens yet. Throws CONFIG_INVALID for a certificate or key that cannot be used. */
export function createServers(options: ServersOptions): Servers {
  const { tls, log } = options;
  const serving = createServingState({ source: options.health });
  const shutdown = new AbortController();
  const limits = { ...defaultRequestLimits, ...options.limits };
  const { bodyTimeoutMs } = limits;
  const handleRpc = createRpcHandler({ ...options, bodyTimeoutMs, serving, shutdownSignal: shutdown.signal });
  const handleProbe = createProbes({ serving, metrics: options.metrics, log });

  const http = createWebServer(tls === undefined ? undefined : withoutClients(tls), limits, (request, response) => {
    if (limitRequest(request, response) || options.first?.(request, response)) return;
    if (handleRpc(request, response) || handleProbe(request, response)) return;
    if (isGrpcRequest(request)) sendGrpcUnimplemented(request, response);
    else void passOn(request, response, options);
  });
  const grpc = createGrpcServer(tls, limits, (request, response) => {
    if (limitRequest(request, response) || handleRpc(request, response)) return;
    if (isGrpcRequest(request)) sendGrpcUnimplemented(request, response);
    else sendError(request, response, 404, "NOT_FOUND", "this port serves RPCs alone: REST is on the HTTP port");
  });
  answerClientErrors(http, limits);
  const connections = [http, grpc].map(trackConnections);
  let closing: Promise<void> | undefined;

  /** Whether the request is answered with that. */
  function limitRequest(request: NodeRequest, response: NodeResponse): boolean {
    cutUnreadAnswer(request, response, limits.unreadTimeoutMs);
    endAfterAnswer(request, bodyTimeoutMs);
    const refusal = findOtherVersion(request) ?? findOversize(request, limits);
    if (refusal !== undefined) sendRefusal(request, response, refusal);
    return refusal !== undefined;
  }

  async function close({ graceMs, lingerMs = defaultLingerMs }: Parameters<Servers["close"]>[0]): Promise<void> {
    serving.stop();
    for (const { stopAccepting } of connections) stopAccepting();
    const closed = Promise.all(connections.map((each) => each.closed));
    const answered = Promise.all(connections.map((each) => each.requestsDone()));
    await within(graceMs, answered);
    const requests = connections.reduce((sum, each) => sum + each.inFlight(), 0);
    if (requests > 0) {
      log.warn({ requests, graceMs }, "the time to finish is over: the requests that are left are cut off");
      shutdown.abort(new ConnectError("the server is shutting down: try again", Code.Unavailable));
      await within(lastWordsMs, answered);
    }
    await within(lingerMs, closed);
    for (const { destroyAll } of connections) destroyAll();
    await closed;
  }

  return {
    renewTls(next) {
      // The port that can refuse more comes first, so that a refusal changes neither.
      renewTls(grpc, next);
      renewTls(http, withoutClients(next));
    },
    announceClose: () => serving.stop(),
    close: (times) => {
      closing ??= close(times);
      return closing;
    },
    async listen() {
      const scheme = tls === undefined ? "http" : "https";
      try {
        const httpUrl = `${scheme}://${await listen(http, options.http, "TELLWIRE_HTTP_ADDR")}`;
        const grpcUrl = `${scheme}://${await listen(grpc, options.grpc, "TELLWIRE_GRPC_ADDR")}`;
        for (const server of [http, grpc]) logErrors(server, log);
        return { httpUrl, grpcUrl };
      } catch (error) {
        closing ??= close({ graceMs: 0 });
        await closing;
        throw error;
      }
    },
  };
}

function withoutClients({ cert, key }: ServerTls): ServerTls {
  return { cert, key };
}

/** For calls that end themselves when their signal aborts: the time to send their status. */
const lastWordsMs = 250;

/** For connections whose last answer is still being sent, after the requests are done. */
const defaultLingerMs = 3000;

/** Waits for the promise, but no longer than that. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const passed = delay(ms, undefined, { signal: timer.signal }).catch(() => undefined);
  await Promise.race([promise, passed]);
  timer.abort();
}

async function passOn(request: NodeRequest, response: NodeResponse, { gateway, log }: ServersOptions): Promise<void> {
  if (gateway === undefined) {
    sendError(request, response, 404, "NOT_FOUND", "nothing is served under this path");
    return;
  }
  try {
    await gateway(request, response);
  } catch (error) {
    log.error({ err: error, method: request.method }, "the gateway failed");
    if (response.headersSent) response.destroy();
    else sendError(request, response, 500, "INTERNAL", "internal error");
  }
}

function logErrors(server: NodeServer, log: ServersOptions["log"]): void {
  server.on("error", (error: Error) => log.error({ err: error }, "a server failed"));
  server.on("sessionError", (error: Error) => log.debug({ err: error }, "an HTTP/2 connection failed"));
  server.on("tlsClientError", (error: Error) => log.debug({ err: error }, "a TLS handshake failed"));
}
