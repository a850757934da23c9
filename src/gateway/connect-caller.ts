import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createContextValues,
  createMethodImplSpec,
  createServiceImplSpec,
  type HandlerContext,
  type Interceptor,
  type MethodImplSpec,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import { createAsyncIterable, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import type { CallContext, Caller } from "./caller.ts";
import type { HttpRequest, HttpResponse } from "./http-exchange.ts";

/**
 * A Caller for the implementations that are registered on a Connect router: the same functions with the same interceptors as behind the
 * Connect and gRPC doors, called directly. Handlers see the protocol name `rest`. What they throw that is no ConnectError becomes an
 * INTERNAL one with the original as its cause and nothing of it in its message, as Connect's own handlers have it.
 */
export function createConnectCaller(options: ConnectCallerOptions): Caller {
  const implementations = collectImplementations(options.routes);
  const interceptors = [hideUnknownErrors, ...(options.interceptors ?? [])];
  const { contextValuesOf = createContextValues, gate } = options;
  /** What the gate has found is there for the interceptors. */
  const valuesOfAdmitted = new WeakMap<CallContext, ContextValues>();

  function requestOf(method: DescMethod, context: CallContext) {
    const { request, response, requestMethod, url, header } = context;
    const contextValues = valuesOfAdmitted.get(context) ?? contextValuesOf(request, response);
    return { service: method.parent, requestMethod, url, header, contextValues };
  }

  function find<Kind extends MethodImplSpec["kind"]>(method: DescMethod, kind: Kind): ImplOf<Kind> {
    const found = implementations.get(method);
    if (found === undefined || !isOfKind(found, kind)) {
      throw new ConnectError(`${method.parent.typeName}.${method.name} is not implemented`, Code.Unimplemented);
    }
    return found;
  }

  return {
    async admit(method, context) {
      const contextValues = contextValuesOf(context.request, context.response);
      valuesOfAdmitted.set(context, contextValues);
      try {
        await gate?.({ service: method.parent, method, header: context.header, contextValues });
      } catch (error) {
        throw toConnectError(error);
      }
    },

    async unary(method, message, context) {
      const { impl } = find(method, "unary");
      return await runUnaryCall({
        req: { ...requestOf(method, context), stream: false, method, message },
        signal: context.signal,
        interceptors,
        async next(request) {
          const handler = handlerContext(request, context);
          const answer = await impl(request.message, handler);
          return { ...responseOf(method, handler), stream: false, method, message: create(method.output, answer) };
        },
      });
    },

    async serverStream(method, message, context) {
      const { impl } = find(method, "server_streaming");
      const response = await runStreamingCall({
        req: { ...requestOf(method, context), stream: true, method, message: createAsyncIterable([message]) },
        signal: context.signal,
        interceptors,
        async next(request) {
          const handler = handlerContext(request, context);
          const messages = finishedOnAbort(impl(await single(request.message), handler), request.signal);
          const output = normalizeAll(method.output, messages);
          return { ...responseOf(method, handler), stream: true, method, message: output };
        },
      });
      return { messages: response.message, header: response.header, trailer: response.trailer };
    },
  };
}

export interface ConnectCallerOptions {
  /** Registers the services, as for the Connect and gRPC doors. Options of single services and methods are not looked at. */
  readonly routes: (router: ConnectRouter) => void;
  /** The gate of the other doors: rejects where a call may not be made. Left out: every call goes on to the interceptors. */
  readonly gate?: (call: GatedCall) => Promise<void>;
  /** The interceptors of the other doors; the first is the outermost. */
  readonly interceptors?: readonly Interceptor[];
  /** What the interceptors and handlers of a call find in its context. Left out: nothing. */
  readonly contextValuesOf?: (request: HttpRequest, response: HttpResponse) => ContextValues;
}

/** What is known of a call before its body is read. The interceptors find the same context values. */
export interface GatedCall {
  readonly service: DescService;
  readonly method: DescMethod;
  readonly header: Headers;
  readonly contextValues: ContextValues;
}

type ImplOf<Kind> = Extract<MethodImplSpec, { kind: Kind }>;

function isOfKind<Kind extends MethodImplSpec["kind"]>(spec: MethodImplSpec, kind: Kind): spec is ImplOf<Kind> {
  return spec.kind === kind;
}

function collectImplementations(routes: (router: ConnectRouter) => void): ReadonlyMap<DescMethod, MethodImplSpec> {
  const implementations = new Map<DescMethod, MethodImplSpec>();
  const router: ConnectRouter = {
    handlers: [],
    service(service: DescService, implementation) {
      for (const spec of Object.values(createServiceImplSpec(service, implementation).methods)) {
        implementations.set(spec.method, spec);
      }
      return router;
    },
    rpc(method, implementation) {
      implementations.set(method, createMethodImplSpec(method, implementation));
      return router;
    },
  };
  routes(router);
  return implementations;
}

function responseOf(method: DescMethod, { responseHeader, responseTrailer }: HandlerContext) {
  return { service: method.parent, header: responseHeader, trailer: responseTrailer };
}

/** Built from the request as the interceptors left it. */
function handlerContext(request: UnaryRequest | StreamRequest, { timeoutMs }: CallContext): HandlerContext {
  const startedAt = performance.now();
  return {
    method: request.method,
    service: request.service,
    signal: request.signal,
    timeoutMs: () => (timeoutMs === undefined ? undefined : timeoutMs - (performance.now() - startedAt)),
    requestMethod: request.requestMethod,
    requestHeader: request.header,
    responseHeader: new Headers(),
    responseTrailer: new Headers(),
    protocolName: "rest",
    values: request.contextValues,
    url: request.url,
  };
}

/** The outermost interceptor: what comes out of the others is a ConnectError. */
const hideUnknownErrors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    if (!response.stream) return response;
    return { ...response, message: hideUnknownErrorsOf(response.message) };
  } catch (error) {
    throw toConnectError(error);
  }
};

async function* hideUnknownErrorsOf(messages: AsyncIterable<Message>): AsyncIterable<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}

function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
}

async function single<Value>(values: AsyncIterable<Value>): Promise<Value> {
  for await (const value of values) return value;
  throw new ConnectError("an interceptor took the request message away", Code.Internal);
}

/** Ends an implementation's generator when the call is over, so that its `finally` runs although nobody asks for its next message. */
function finishedOnAbort<Value>(values: AsyncIterable<Value>, signal: AbortSignal): AsyncIterable<Value> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = values[Symbol.asyncIterator]();
      const finish = () => {
        // Nobody waits for the answer any more, so an error in the `finally` has nowhere to go.
        iterator.return?.().catch(() => undefined);
      };
      signal.addEventListener("abort", finish, { once: true });
      return { next: () => iterator.next() };
    },
  };
}

async function* normalizeAll<Output extends DescMessage>(
  output: Output,
  messages: AsyncIterable<MessageInitShape<Output>>,
): AsyncIterable<MessageShape<Output>> {
  for await (const message of messages) yield create(output, message);
}
