import type { DescMethodServerStreaming, DescMethodUnary, DescService, Message, Registry } from "@bufbuild/protobuf";
import type { CallContext, Caller } from "./caller.ts";
import { type CorsOptions, createCors } from "./cors.ts";
import { asConnectError, type ErrorResponse, toErrorResponse } from "./error-response.ts";
import { GatewayError } from "./gateway-error.ts";
import { createGatewayRoutes, type GatewayRoute } from "./gateway-routes.ts";
import { breakOff, type HttpRequest, type HttpResponse, headerValue, isHttp2, requestUrl } from "./http-exchange.ts";
import { acceptQuality } from "./media-type.ts";
import { readMetadata, writeMetadata } from "./metadata-headers.ts";
import { splitTarget } from "./raw-path.ts";
import { leaveBody, readBody, refuseBody } from "./read-body.ts";
import { readTimeoutMs } from "./request-timeout.ts";
import { chooseStreamFormat, respondStream, type StreamFormat } from "./respond-stream.ts";
import { respondUnary, sendBody } from "./respond-unary.ts";
import type { RouteMatch } from "./route-trie.ts";
import { createServiceRegistry } from "./service-registry.ts";
import { until } from "./until.ts";

/**
 * A gateway that serves every method of the services that has a google.api.http rule, over HTTP/1.1, HTTP/2 and TLS.
 *
 * @throws {HttpRuleError} where a rule is not valid, naming the method.
 * @throws {RouteCollisionError} where two rules match the same requests, naming both.
 */
export function createGateway(options: GatewayOptions): Gateway {
  const registry = options.registry ?? createServiceRegistry(options.services);
  const routes = createGatewayRoutes(options.services, registry);
  const cors = options.cors && createCors(options.cors);
  const { errorDomain, bodyTimeoutMs = 60_000 } = options;

  async function handle(request: HttpRequest, response: HttpResponse): Promise<void> {
    const exchange = createExchange(request, response, errorDomain);
    try {
      await serve(exchange);
    } catch (error) {
      if (exchange.isGone()) return;
      const described = describeError(exchange, error);
      if (response.headersSent) breakOff(response);
      else await respondError(exchange, described);
    } finally {
      clearTimeout(exchange.deadline);
    }
  }

  async function serve(exchange: Exchange): Promise<void> {
    const { request, response } = exchange;
    const { path, query } = splitTarget(request.url ?? "/");
    const match = matchRoute(request.method ?? "GET", path);
    cors?.(request, response, match.kind === "method" ? allowedMethods(match.allowed) : [request.method ?? "GET"]);
    if (request.method === "OPTIONS" && (match.kind === "method" || path === "*")) {
      if (match.kind === "method") response.setHeader("allow", allowedMethods(match.allowed).join(", "));
      response.writeHead(204);
      response.end();
      return;
    }
    const { route, segments } = foundRoute(match, request.method ?? "GET", path);
    const format = chooseFormat(route, headerValue(request, "accept"));
    const timeoutMs = startDeadline(exchange);
    const context: CallContext = {
      request,
      response: exchange.response,
      header: readMetadata(request),
      signal: exchange.signal,
      timeoutMs,
      requestMethod: request.method ?? "GET",
      url: requestUrl(request),
    };
    await admit(exchange, route, context);
    const message = await readMessage(exchange, route, segments, query);
    await call(exchange, route, message, context, format);
  }

  function matchRoute(method: string, path: string): RouteMatch<GatewayRoute> {
    const match = routes.match(method, path);
    // A HEAD is a GET whose answer has no body (RFC 9110, 9.3.2), unless a rule of its own serves it.
    if (match.kind !== "method" || method !== "HEAD") return match;
    const get = routes.match("GET", path);
    return get.kind === "found" ? get : match;
  }

  function startDeadline(exchange: Exchange): number | undefined {
    const timeoutMs = readTimeoutMs((name) => headerValue(exchange.request, name), options.maxTimeoutMs ?? maxTimerMs);
    if (timeoutMs !== undefined) exchange.startDeadline(timeoutMs);
    return timeoutMs;
  }

  async function admit({ request, signal }: Exchange, { binding }: GatewayRoute, context: CallContext): Promise<void> {
    try {
      await until(options.caller.admit(binding.method, context), signal);
    } catch (error) {
      leaveBody(request, bodyTimeoutMs);
      throw error;
    }
  }

  async function readMessage(
    { request, signal }: Exchange,
    route: GatewayRoute,
    segments: readonly string[],
    query: string,
  ): Promise<Message> {
    if (route.binding.body === undefined) {
      await refuseBody(request, { timeoutMs: bodyTimeoutMs, signal });
      return route.bind({ segments, query, body: undefined });
    }
    const { maxBodyBytes: maxBytes } = options;
    const { takesRawBody: acceptsAnyType } = route;
    const body = await readBody(request, { maxBytes, acceptsAnyType, timeoutMs: bodyTimeoutMs, signal });
    const problem = acceptsAnyType ? undefined : options.findJsonProblem?.(body.bytes);
    if (problem !== undefined) throw new GatewayError("MALFORMED_BODY", `the request body: ${problem}`);
    return route.bind({ segments, query, body });
  }

  async function call(
    exchange: Exchange,
    route: GatewayRoute,
    message: Message,
    context: CallContext,
    format: StreamFormat | undefined,
  ): Promise<void> {
    const { request, response, signal } = exchange;
    const { method } = route.binding;
    if (format === undefined) {
      const answer = await until(options.caller.unary(method as DescMethodUnary, message, context), signal);
      await respondUnary(request, response, answer, route.encode(answer.message));
      return;
    }
    const streaming = method as DescMethodServerStreaming;
    try {
      const answer = await until(options.caller.serverStream(streaming, message, context), signal);
      await respondStream(request, response, answer, {
        format,
        encode: route.encode,
        signal,
        isGone: exchange.isGone,
        describeError: (error) => describeError(exchange, error),
      });
    } finally {
      // A HEAD leaves the stream unread, and one that failed is not to go on.
      exchange.end();
    }
  }

  function describeError({ request }: Exchange, error: unknown): ErrorResponse {
    const described = toErrorResponse(error, { errorDomain, registry });
    if (described.httpStatus === 500) options.onInternalError?.(error, request);
    return described;
  }

  return {
    handle,
    matches: (target) => routes.match("*", splitTarget(target).path).kind !== "none",
  };
}

export interface GatewayOptions {
  /** Every method of them with a google.api.http rule is served. */
  readonly services: readonly DescService[];
  /** The way to call a method. */
  readonly caller: Caller;
  /** The most that a request body may have, in bytes, before and after decompression. */
  readonly maxBodyBytes: number;
  /** In which the body of a request must have arrived whole after its headers, in milliseconds. Left out: a minute. */
  readonly bodyTimeoutMs?: number;
  /** What is wrong with a body of JSON beside its form, as a sentence; undefined where nothing is. */
  readonly findJsonProblem?: (json: Uint8Array) => string | undefined;
  /** The `domain` of the ErrorInfo of the gateway's own errors (AIP-193). */
  readonly errorDomain: string;
  /** The most that a client may ask for as its timeout, in milliseconds; more is INVALID_TIMEOUT. Left out: 24 days. */
  readonly maxTimeoutMs?: number;
  /** Types inside google.protobuf.Any, and of error details that come as bytes. Left out: those of the services' files, and google.rpc's. */
  readonly registry?: Registry;
  /** Left out: pages of other origins cannot call the gateway. */
  readonly cors?: CorsOptions;
  /** Told of every error that is answered with 500, whose cause the client does not see. */
  readonly onInternalError?: (error: unknown, request: HttpRequest) => void;
}

export interface Gateway {
  /** Answers a request. It never rejects: what goes wrong becomes the answer, or ends the connection where the answer had begun. */
  handle(request: HttpRequest, response: HttpResponse): Promise<void>;
  /** Whether a request target (`req.url`) belongs to a route, of any HTTP method. A malformed one does, to be answered as such. */
  matches(target: string): boolean;
}

/** The longest timer that Node has; a longer one would fire at once. */
const maxTimerMs = 2 ** 31 - 1;

interface Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  /** Aborted when the client goes away, and when the deadline passes. */
  readonly signal: AbortSignal;
  deadline: NodeJS.Timeout | undefined;
  startDeadline(timeoutMs: number): void;
  isGone(): boolean;
  end(): void;
}

function createExchange(request: HttpRequest, response: HttpResponse, domain: string): Exchange {
  const abort = new AbortController();
  let isGone = false;
  response.once("close", () => {
    if (response.writableEnded) return;
    isGone = true;
    abort.abort(asConnectError(new GatewayError("CLIENT_GONE", "the client went away"), domain));
  });
  const passDeadline = () =>
    abort.abort(asConnectError(new GatewayError("DEADLINE_EXCEEDED", "the deadline of the request passed"), domain));
  return {
    request,
    response,
    signal: abort.signal,
    deadline: undefined,
    startDeadline(timeoutMs) {
      if (timeoutMs <= 0) passDeadline();
      else this.deadline = setTimeout(passDeadline, Math.min(timeoutMs, maxTimerMs));
    },
    isGone: () => isGone,
    end: () => abort.abort(),
  };
}

async function respondError({ request, response }: Exchange, error: ErrorResponse): Promise<void> {
  writeMetadata(response, error.header);
  response.setHeader("content-type", "application/json");
  // A body that is too large or too slow is not read to its end: what it came on cannot be used again.
  if (isHttp2(request)) {
    // NO_ERROR asks a client to stop sending (RFC 9113, section 8.1). One that still sends fast is let run out, in discardRest.
    if (error.httpStatus === 408) request.stream.once("wantTrailers", () => setImmediate(() => request.stream.close()));
  } else if (error.httpStatus === 413 || error.httpStatus === 408) {
    response.setHeader("connection", "close");
  }
  await sendBody(request, response, error.httpStatus, Buffer.from(JSON.stringify(error.body)));
}

function foundRoute(
  match: RouteMatch<GatewayRoute>,
  method: string,
  path: string,
): RouteMatch<GatewayRoute> & { kind: "found" } {
  switch (match.kind) {
    case "found":
      return match;
    case "none":
      throw new GatewayError("ROUTE_NOT_FOUND", `nothing is served at ${path}`);
    case "malformed":
      throw new GatewayError("MALFORMED_PATH", "the path holds a malformed percent-encoding");
    case "method": {
      const allow = allowedMethods(match.allowed).join(", ");
      throw new GatewayError("METHOD_NOT_ALLOWED", `${method} is not served at ${path}, but ${allow}`, {
        headers: { allow },
      });
    }
  }
}

function allowedMethods(methods: readonly string[]): string[] {
  const allowed = new Set([...methods, "OPTIONS"]);
  if (allowed.has("GET")) allowed.add("HEAD");
  return [...allowed].sort();
}

/** The format of a stream; undefined for a unary answer. Refused before the call where the client takes none of what there is. */
function chooseFormat(route: GatewayRoute, accept: string | undefined): StreamFormat | undefined {
  const isStream = route.binding.method.methodKind === "server_streaming";
  if (route.answersRawBody) return isStream ? "raw" : undefined;
  if (!isStream) {
    if (acceptQuality(accept, "application/json") > 0) return undefined;
    throw new GatewayError("NOT_ACCEPTABLE", "the answer is application/json, which the Accept header leaves out");
  }
  const format = chooseStreamFormat(accept);
  if (format !== undefined) return format;
  const message = "the answer is application/x-ndjson or text/event-stream, which the Accept header leaves out";
  throw new GatewayError("NOT_ACCEPTABLE", message);
}
