import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { createConnectCaller } from "../../src/gateway/connect-caller.ts";
import { createGateway, type GatewayOptions } from "../../src/gateway/gateway.ts";
import { fixtureMessage, fixtureService } from "./fixture.ts";

export const errorDomain = "gateway.test";

/** A gateway for the fixture on a real server, on a free port of the loopback interface. */
export async function startFixtureGateway(options: StartOptions = {}): Promise<FixtureGateway> {
  const calls: FixtureCall[] = [];
  const internalErrors: unknown[] = [];
  const caller = createConnectCaller({
    routes: (router) => registerFixture(router, calls),
    interceptors: options.interceptors ?? [],
  });
  const gateway = createGateway({
    services: [fixtureService],
    caller,
    maxBodyBytes: 100_000,
    errorDomain,
    onInternalError: (error) => internalErrors.push(error),
    ...options.gateway,
  });
  // Counts the requests whose handling is not over, so that a test can wait for the end of one.
  let open = 0;
  const ended = new EventTarget();
  const handle: typeof gateway.handle = async (request, response) => {
    open += 1;
    await gateway.handle(request, response);
    open -= 1;
    ended.dispatchEvent(new Event("ended"));
  };
  // Who asks ends idle connections, and the server none at the moment of the next question.
  const server = options.http2 ? http2.createServer(handle) : http.createServer({ keepAliveTimeout: 0 }, handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    calls,
    internalErrors,
    async allHandled() {
      while (open > 0) await once(ended, "ended");
    },
    async close() {
      server.close();
      if (server instanceof http.Server) server.closeAllConnections();
      await once(server, "close");
    },
  };
}

export interface StartOptions {
  gateway?: Partial<GatewayOptions>;
  interceptors?: readonly Interceptor[];
  http2?: boolean;
}

export interface FixtureGateway {
  readonly url: string;
  readonly port: number;
  /** What the implementations were called with. */
  readonly calls: FixtureCall[];
  /** What onInternalError was told. */
  readonly internalErrors: unknown[];
  /** Resolves when the gateway is done with every request. */
  allHandled(): Promise<void>;
  close(): Promise<void>;
}

export interface FixtureCall {
  readonly message: Message & { name?: string; failAfter?: number };
  readonly context: HandlerContext;
  /** Resolves when the implementation is done, with the reason of its signal where that was aborted. */
  readonly finished: Promise<unknown>;
  /** How many messages of a stream were made. */
  produced: number;
}

function registerFixture(router: ConnectRouter, calls: FixtureCall[]): void {
  const record = (message: Message, context: HandlerContext) => {
    const { promise: finished, resolve } = Promise.withResolvers<unknown>();
    const call: FixtureCall = { message, context, finished, produced: 0 };
    calls.push(call);
    return { call, finish: resolve };
  };
  for (const method of fixtureService.methods) {
    if (method.methodKind === "unary") {
      router.rpc(method as DescMethodUnary, async (message, context) => {
        const { finish } = record(message, context);
        try {
          if (method.name === "Act") await act((message as Message & { name: string }).name, context);
          return message;
        } finally {
          finish(context.signal.reason);
        }
      });
    }
  }
  for (const name of ["Watch", "Download"]) {
    const method = fixtureService.methods.find((each) => each.name === name) as DescMethodServerStreaming;
    router.rpc(method, async function* (request, context) {
      const { count, failAfter } = request as Message & { count: number; failAfter?: number };
      const { call, finish } = record(request, context);
      try {
        context.responseHeader.set("x-stream", "yes");
        context.responseTrailer.set("x-total", String(count));
        for (let index = 0; index < count; index++) {
          if (index === failAfter) throw failures["not-found"]?.();
          call.produced += 1;
          yield fromJson(method.output, streamed(name, index));
        }
        if (count === failAfter) throw new Error("a secret of the stream");
      } finally {
        finish(context.signal.reason);
      }
    });
  }
}

function streamed(name: string, index: number): JsonValue {
  if (name === "Watch") return { index, text: `line\n${index}` };
  return { contentType: "text/plain", data: Buffer.from(`part ${index};`).toString("base64") };
}

async function act(name: string, context: HandlerContext): Promise<void> {
  const failure = failures[name];
  if (failure !== undefined) throw failure();
  if (name === "headers") {
    context.responseHeader.set("x-answer", context.requestHeader.get("x-question") ?? "");
    context.responseHeader.append("set-cookie", "a=1");
    context.responseHeader.append("set-cookie", "b=2");
    context.responseHeader.set("content-length", "1");
    context.responseHeader.set("vary", "x-question");
    context.responseTrailer.set("x-cost", "7");
  }
  // Waits for the end of the call, and goes by its signal.
  if (name === "slow") await once(context.signal, "abort");
  // Never answers, and does not look at its signal.
  if (name === "deaf") await new Promise(() => undefined);
}

const failures: Readonly<Record<string, () => Error>> = {
  "not-found": () =>
    new ConnectError("no such book", Code.NotFound, { "x-error": "yes", "content-type": "text/plain" }, [
      { desc: ErrorInfoSchema, value: { reason: "BOOK_NOT_FOUND", domain: "books.test", metadata: { id: "7" } } },
      { desc: BadRequestSchema, value: { fieldViolations: [{ field: "name", description: "names no book" }] } },
    ]),
  busy: () =>
    new ConnectError("later", Code.Unavailable, undefined, [
      { desc: RetryInfoSchema, value: { retryDelay: { seconds: 2n, nanos: 1 } } },
    ]),
  "typed-any": () =>
    new ConnectError("typed", Code.Aborted, undefined, [
      { desc: fixtureMessage("Nested"), value: create(fixtureMessage("Nested")) },
    ]),
  wire: () => {
    const error = new ConnectError("from afar", Code.FailedPrecondition);
    error.details = [
      { type: "google.rpc.ErrorInfo", value: Uint8Array.from([10, 1, 65]) },
      { type: "google.rpc.BadRequest", value: Uint8Array.from([255]) },
      { type: "unknown.Type", value: Uint8Array.from([1, 2]) },
    ];
    return error;
  },
  crash: () => new Error("a secret"),
};

/** A request that fetch cannot make: its headers as given, duplicates and all. */
export async function rawRequest(url: string, options: RawRequestOptions): Promise<RawResponse> {
  const request = http.request(url, {
    method: options.method ?? "GET",
    headers: ["host", new URL(url).host, ...options.headers],
    agent: false,
  });
  request.end(options.body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const chunks: Buffer[] = await response.toArray();
  return { status: response.statusCode ?? 0, headers: response.headers, text: Buffer.concat(chunks).toString() };
}

export interface RawRequestOptions {
  method?: string;
  headers: readonly string[];
  body?: string | Uint8Array;
}

export interface RawResponse {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}
