import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";

/**
 * Decides about a call before any of its body is read. Rejects with the error that the caller gets, as one of Connect. Every front door for RPCs
 * has it in front: whoever may not call has nothing decompressed and nothing parsed.
 */
export type RequestGate = (call: Call) => Promise<void>;

/** What is known of a call when its headers have arrived. */
export interface Call {
  readonly service: DescService;
  readonly method: DescMethod;
  /** Of the request. */
  readonly header: Headers;
  /** The same that the interceptors and the handler will find. */
  readonly contextValues: ContextValues;
}
