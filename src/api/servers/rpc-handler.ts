import { createRegistry } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  createConnectRouter,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import type { Peer } from "../../usecases/authenticate.ts";
import { withAnswerHeaders } from "../answer-headers.ts";
import { isClientGone } from "../client-gone.ts";
import { peerContext } from "../peer-context.ts";
import type { RequestGate } from "../request-gate.ts";
import { closingSignalKey } from "./closing-signal.ts";
import { compressions } from "./compressions.ts";
import { withReadableMessage } from "./grpc-message.ts";
import { createHealthService } from "./health-service.ts";
import { isEnveloped, limitBody } from "./limited-body.ts";
import { blameSender, blameSenderOfUnary } from "./malformed-message.ts";
import type { NodeRequest, NodeResponse } from "./node-server.ts";
import { createReflectionService } from "./reflection-service.ts";
import { reflectionV1Alpha } from "./reflection-v1alpha.ts";
import { sendRefusal } from "./refusal.ts";
import { requestJson } from "./request-json.ts";
import { requestPath, sendError } from "./responses.ts";
import type { ServingState } from "./serving-state.ts";
import { closeAfterAnswer, leaveBody } from "./unwanted-body.ts";

export interface RpcHandlerOptions {
  routes: (router: ConnectRouter) => void;
  /** Left out: every call goes on to the interceptors. */
  gate?: RequestGate;
  interceptors: readonly Interceptor[];
  /** Who is on the other side, for the interceptors. */
  readPeer: (request: NodeRequest) => Peer;
  /** The most that one message may have, in bytes, before and after decompression. */
  maxBodyBytes: number;
  /** In which the message of a unary call must have arrived whole, in milliseconds. */
  bodyTimeoutMs: number;
  serving: ServingState;
  healthPollMs?: number | undefined;
  /** Aborts the signal in the context of every call that still runs. */
  shutdownSignal: AbortSignal;
  log: Pick<Logger, "debug" | "error">;
}

/** Answers a request for an RPC, and says true; says false, and leaves the request alone, where its path names none. */
export type RpcHandler = (request: NodeRequest, response: NodeResponse) => boolean;

/**
 * Serves the routes, with gRPC health checking and reflection of all of them, over Connect, gRPC and gRPC-Web, whichever a request speaks.
 * No request, however malformed, makes it throw.
 */
export function createRpcHandler(options: RpcHandlerOptions): RpcHandler {
  const handlers = new Map(createHandlers(options).map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const handler = handlers.get(requestPath(request));
    if (handler === undefined) return false;
    void run(handler, request, response, options);
    return true;
  };
}

function createHandlers(options: RpcHandlerOptions): UniversalHandler[] {
  const { routes, interceptors, maxBodyBytes, serving, healthPollMs, shutdownSignal } = options;
  const router = createConnectRouter({
    interceptors: [...interceptors],
    requestGate: leavingBody(options.gate ?? letPass),
    readMaxBytes: maxBodyBytes,
    acceptCompression: [...compressions],
    // PublishEventStream answers with the errors of single events as values, whose details are google.protobuf.Any.
    jsonOptions: {
      registry: createRegistry(file_google_rpc_error_details),
      textDecoder: requestJson,
      recursionLimit,
    } as ConnectRouterOptions["jsonOptions"] & object,
    binaryOptions: { recursionLimit },
    shutdownSignal,
  });
  routes(router);
  const own = [...new Set(router.handlers.map(({ service }) => service))];
  const health = { serving, services: own.map(({ typeName }) => typeName) };
  router.service(
    Health,
    createHealthService(healthPollMs === undefined ? health : { ...health, pollMs: healthPollMs }),
  );
  const reflection = createReflectionService([...own, Health, ServerReflection, reflectionV1Alpha], serving.closing);
  router.service(ServerReflection, reflection);
  router.service(reflectionV1Alpha, reflection);
  return router.handlers;
}

/** The gate, as Connect asks it. Of a call that it refuses nobody reads the body any more. */
function leavingBody(gate: RequestGate): (context: HandlerContext) => Promise<void> {
  return async ({ service, method, requestHeader: header, values: contextValues }) => {
    try {
      await gate({ service, method, header, contextValues });
    } catch (error) {
      contextValues.get(leaveBodyKey)();
      throw error;
    }
  };
}

const leaveBodyKey = createContextKey<() => void>(() => {}, { description: "leave body" });

async function letPass(): Promise<void> {}

/** How deep messages may stand in each other: each level of JSON in a google.protobuf.Value is up to three of them. */
const recursionLimit = 210;

async function run(
  handler: UniversalHandler,
  request: NodeRequest,
  response: NodeResponse,
  options: RpcHandlerOptions,
): Promise<void> {
  const { log, maxBodyBytes } = options;
  const universal = toUniversalRequest(request, response, options);
  if (universal === undefined) {
    sendError(request, response, 400, "INVALID_ARGUMENT", "Host: is missing, or no host name");
    return;
  }
  if (announcesTooMuch(request, maxBodyBytes)) {
    const message = `the message is larger than ${maxBodyBytes} bytes`;
    sendRefusal(request, response, { reason: "BODY_TOO_LARGE", httpStatus: 413, message });
    return;
  }
  limitRequest(universal, handler, request, response, options);
  try {
    const answer = await blameSenderOfUnary(await handler(universal));
    await universalResponseToNodeResponse(withReadableMessage(blameSender(answer)), response);
  } catch (error) {
    const rpc = `${handler.service.typeName}/${handler.method.name}`;
    if (isClientGone(error) || ConnectError.from(error).code === Code.Aborted) {
      log.debug({ err: error, rpc }, "the client left before its answer was complete");
      return;
    }
    log.error({ err: error, rpc }, "a call could not be answered");
    if (response.headersSent) response.destroy();
    else sendError(request, response, 500, "INTERNAL", "internal error");
  }
}

/** Where the body is the message alone, its length is known before it is read. */
function announcesTooMuch({ headers }: NodeRequest, maxBytes: number): boolean {
  return !isEnveloped(headers["content-type"] ?? "") && Number(headers["content-length"] ?? 0) > maxBytes;
}

function limitRequest(
  universal: UniversalServerRequest,
  { method }: UniversalHandler,
  request: NodeRequest,
  response: NodeResponse,
  { maxBodyBytes, bodyTimeoutMs }: RpcHandlerOptions,
): void {
  const { body } = universal;
  if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return;
  const isOneMessage = method.methodKind === "unary" || method.methodKind === "server_streaming";
  const limited = limitBody(body, {
    contentType: request.headers["content-type"] ?? "",
    maxMessageBytes: maxBodyBytes,
    timeoutMs: isOneMessage ? bodyTimeoutMs : undefined,
    onTimeout: () => closeAfterAnswer(request, response),
    onLeft: (rest) => leaveBody(request, rest),
  });
  universal.body = limited;
  universal.contextValues?.set(leaveBodyKey, limited.leave);
}

/** Undefined for a request whose Host header is missing, or fits into no URL. */
function toUniversalRequest(
  request: NodeRequest,
  response: NodeResponse,
  { serving, readPeer }: RpcHandlerOptions,
): UniversalServerRequest | undefined {
  const authority = "authority" in request ? request.authority : request.headers.host;
  if (authority === undefined || !URL.canParse(request.url ?? "", `http://${authority}`)) return undefined;
  const peer = peerContext(readPeer(request)).set(closingSignalKey, serving.closing);
  const contextValues = withAnswerHeaders(peer, response);
  return universalRequestFromNodeRequest(request, response, undefined, contextValues);
}
