import type { DescMethod, DescMethodServerStreaming, DescMethodUnary, Message } from "@bufbuild/protobuf";
import type { HttpRequest, HttpResponse } from "./http-exchange.ts";

/** A way to call a method. It rejects with a ConnectError for what the method or an interceptor refuses; any other rejection answers as INTERNAL. */
export interface Caller {
  /** Whether a call may be made, asked once, before its body is read. Rejects like the others where it may not. */
  admit(method: DescMethod, context: CallContext): Promise<void>;
  unary(method: DescMethodUnary, message: Message, context: CallContext): Promise<UnaryAnswer>;
  serverStream(method: DescMethodServerStreaming, message: Message, context: CallContext): Promise<StreamAnswer>;
}

/** What a call is to know of the HTTP request that caused it; the same one from its admission on. */
export interface CallContext {
  /** The request itself. Its body is not read before the call is admitted, and is read already when it is made. */
  readonly request: HttpRequest;
  /** The answer, of which nothing is sent yet: headers that are set on it stand beside those of the call's own. */
  readonly response: HttpResponse;
  /** Every header of the request. */
  readonly header: Headers;
  /** Aborted when the client goes away and when the deadline passes, with a ConnectError as its reason; for a stream also when it is over. */
  readonly signal: AbortSignal;
  /** How long the client waits from now, in milliseconds; undefined: as long as it takes. The signal is aborted then. */
  readonly timeoutMs: number | undefined;
  readonly requestMethod: string;
  readonly url: string;
}

export interface UnaryAnswer {
  readonly message: Message;
  readonly header: Headers;
  readonly trailer: Headers;
}

/** The trailer is complete when the messages have ended. */
export interface StreamAnswer {
  readonly messages: AsyncIterable<Message>;
  readonly header: Headers;
  readonly trailer: Headers;
}
