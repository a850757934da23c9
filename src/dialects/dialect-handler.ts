import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { TellwireError } from "../errors.ts";
import { type Actor, type Principal, requireScope } from "../usecases/access.ts";
import type { Authenticate, Peer } from "../usecases/authenticate.ts";
import type { CallLimits } from "../usecases/call-limits.ts";
import { isDatabaseUnavailable } from "../usecases/database-failure.ts";
import type { RunIdempotently } from "../usecases/idempotency.ts";
import { answerOnce } from "./answer-once.ts";
import {
  type Dialect,
  type DialectAnswer,
  type DialectFailure,
  DialectFailureError,
  type DialectRoute,
} from "./dialect.ts";
import { createDialectRoutes } from "./dialect-routes.ts";
import { cutOff, discardRest } from "./read-body-bytes.ts";
import { readJsonBody } from "./read-json-body.ts";

type Request = IncomingMessage | Http2ServerRequest;
/** What is used of a response, so that whoever wraps one may pass it on. */
type Response =
  | Pick<ServerResponse, "statusCode" | "setHeader" | "end">
  | Pick<Http2ServerResponse, "statusCode" | "setHeader" | "end">;

export interface DialectHandlerOptions {
  authenticate: Authenticate;
  callLimits: CallLimits;
  /** Who is on the other side of a request, and the request's id. */
  readPeer: (request: Request) => Peer;
  /** What routes that are idempotent run in where a request has an Idempotency-Key. */
  runIdempotently: RunIdempotently;
  maxBodyBytes: number;
  /** In which a body must have arrived whole, in milliseconds; left out: a minute. */
  bodyTimeoutMs?: number;
  /** For requests whose peer has none. */
  newRequestId: () => string;
  /** Told of what failed because of us; the answer has the request's id and nothing else of it. */
  onServerError: (failure: { requestId: string; method: string; error: unknown }) => void;
  /** Told of each request that was answered with a failure, so that the id in the answer leads somewhere. */
  onRefusal?: (refusal: DialectRefusal) => void;
}

/** A request that was answered with a failure. */
export interface DialectRefusal {
  requestId: string;
  /** With the dialect's name and the path. */
  method: string;
  status: number;
  /** What kind of failure it was, or the reason from the catalogue. */
  reason: string;
  /** Undefined: nobody knows. Never the key itself. */
  actor: Actor | undefined;
  address: string | undefined;
}

/** Serves a dialect. Returns false, and leaves the request alone, where the path is not the dialect's. */
export function createDialectHandler(
  dialect: Dialect,
  options: DialectHandlerOptions,
): (request: Request, response: Response) => Promise<boolean> {
  const routes = createDialectRoutes(dialect.routes);
  const bodyLimits = { maxBytes: options.maxBodyBytes, timeoutMs: options.bodyTimeoutMs ?? 60_000 };

  async function answerTo(request: Request, response: Response, target: Target): Promise<DialectAnswer> {
    const { method, path, query, requestId, peer } = target;
    const match = routes(method, path);
    if (match.kind !== "found") {
      throw new DialectFailureError(match);
    }
    const header = headerReader(request);
    const principal = await options.authenticate({ keyText: dialect.keyOf(header) || undefined, ...peer });
    target.actor = principal.actor;
    await admit(principal, match.route, response);
    requireScope(principal, match.route.scope);
    const asked = { principal, method, path, params: match.params, query, header, body: undefined, requestId };
    const failure = dialect.precondition?.(asked);
    if (failure !== undefined) {
      throw new DialectFailureError(failure);
    }
    const { value: body, bytes: bodyBytes } = await readJsonBody(request, bodyLimits);
    const besides = match.route.scopeOfBody?.(body);
    if (besides !== undefined) requireScope(principal, besides);
    const key = header("idempotency-key");
    const { route } = match;
    return route.idempotent && key !== undefined
      ? await answerOnce(options.runIdempotently, { route, request: { ...asked, body }, key, bodyBytes })
      : await route.handle({ ...asked, body });
  }

  async function admit(principal: Principal, { callsReceiver }: DialectRoute, response: Response): Promise<void> {
    const { headers, refusal } = await options.callLimits.admit(principal, callsReceiver ? "calls receiver" : "plain");
    for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value);
    if (refusal !== undefined) throw refusal;
  }

  return async (request, response) => {
    const { path, query } = splitTarget(request.url ?? "/");
    if (!dialect.claims(path)) {
      return false;
    }
    const peer = options.readPeer(request);
    const requestId = peer.origin.requestId ?? options.newRequestId();
    const method = request.method ?? "GET";
    const target: Target = { method, path, query: new URLSearchParams(query), requestId, peer, actor: undefined };
    let answer: DialectAnswer;
    let isCutOff = false;
    try {
      answer = await answerTo(request, response, target);
    } catch (error) {
      const failure = failureOf(error);
      isCutOff = failure.kind === "too slow";
      if (isOurs(failure)) {
        options.onServerError({ requestId, method: `${dialect.name} ${method} ${path}`, error });
      }
      answer = dialect.describe(failure, target);
      const reason = failure.kind === "refused" ? failure.error.reason : failure.kind;
      const refusal = { requestId, method: `${dialect.name} ${method} ${path}`, status: answer.status, reason };
      options.onRefusal?.({ ...refusal, actor: target.actor, address: peer.origin.address });
    }
    send(request, response, { answer, isCutOff, patienceMs: bodyLimits.timeoutMs });
    return true;
  };
}

interface Target {
  method: string;
  path: string;
  query: URLSearchParams;
  requestId: string;
  peer: Peer;
  /** Set when it is known. */
  actor: Actor | undefined;
}

function splitTarget(url: string): { path: string; query: string } {
  const at = url.indexOf("?");
  return at === -1 ? { path: url, query: "" } : { path: url.slice(0, at), query: url.slice(at + 1) };
}

function headerReader({ headers }: Request): (name: string) => string | undefined {
  return (name) => {
    const value = headers[name.toLowerCase()];
    return Array.isArray(value) ? value[0] : value;
  };
}

function failureOf(error: unknown): DialectFailure {
  if (error instanceof DialectFailureError) {
    return error.failure;
  }
  if (!(error instanceof TellwireError)) {
    return isDatabaseUnavailable(error) ? { kind: "refused", error: databaseAway(error) } : { kind: "internal" };
  }
  if (error.code === "INTERNAL") {
    return { kind: "internal" };
  }
  return error.code === "UNAUTHENTICATED"
    ? {
        kind: "unauthenticated",
        message: error.reason === "KEY_MISSING" ? "the request carries no key" : error.message,
      }
    : { kind: "refused", error };
}

function databaseAway(cause: unknown): TellwireError {
  const message = "the database cannot be reached: try again soon";
  return new TellwireError("DATABASE_UNAVAILABLE", message, { cause, retryAfterMs: 1_000 });
}

/** What whoever runs the server has to hear of. */
function isOurs(failure: DialectFailure): boolean {
  return failure.kind === "internal" || (failure.kind === "refused" && failure.error.code === "UNAVAILABLE");
}

interface Sent {
  answer: DialectAnswer;
  /** Whether the rest of the request is refused. */
  isCutOff: boolean;
  /** How long the rest of a body that nobody wants may take over HTTP/2. */
  patienceMs: number;
}

function send(request: Request, response: Response, { answer, isCutOff, patienceMs }: Sent): void {
  const { status, headers = {}, body } = answer;
  if (!request.complete) {
    discardRest(request, patienceMs);
  }
  // Whoever sent too slowly is not waited for any longer.
  const afterwards = (): void => {
    if (isCutOff) cutOff(request);
  };
  if (isCutOff && !("stream" in request)) {
    response.setHeader("connection", "close");
  }
  const text = body === undefined ? "" : JSON.stringify(body);
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) {
    response.setHeader(name, value);
  }
  if (body !== undefined) {
    response.setHeader("content-type", "application/json");
    response.setHeader("content-length", Buffer.byteLength(text));
  }
  if (request.method === "HEAD") {
    response.end(afterwards);
  } else {
    response.end(text, afterwards);
  }
}
