import type { Validator } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { createValidateInterceptor } from "@connectrpc/validate";
import type { Authenticate } from "../usecases/authenticate.ts";
import type { CallLimits } from "../usecases/call-limits.ts";
import { createAuthInterceptor } from "./interceptors/auth-interceptor.ts";
import { createDenialLogInterceptor, type Denial } from "./interceptors/denial-log-interceptor.ts";
import { createErrorInterceptor, type OnServerError } from "./interceptors/error-interceptor.ts";
import { createRequestLogInterceptor, type RequestLogEntry } from "./interceptors/request-log-interceptor.ts";

/**
 * What every call passes, outermost first: the log of requests, which sees the final error; the translation of errors, which covers everything
 * inside it; the log of denied calls; authentication, so that strangers learn nothing, not even what a valid request is; and the contract's rules.
 */
export function createInterceptors(options: InterceptorOptions): Interceptor[] {
  const { authenticate, callLimits, openServices, validator, newRequestId, onServerError, onRequest, onDenied, now } =
    options;
  return [
    ...(onRequest === undefined ? [] : [createRequestLogInterceptor({ now, onRequest })]),
    createErrorInterceptor({ newRequestId, onServerError }),
    ...(onDenied === undefined ? [] : [createDenialLogInterceptor({ onDenied })]),
    createAuthInterceptor({ authenticate, callLimits, openServices }),
    createValidateInterceptor({ validator }),
  ];
}

export interface InterceptorOptions {
  authenticate: Authenticate;
  callLimits: CallLimits;
  /** The full names of services that need no key. */
  openServices: ReadonlySet<string>;
  /** Shared with createRoutes: it compiles each rule once. */
  validator: Validator;
  newRequestId: () => string;
  onServerError: OnServerError;
  onRequest?: (entry: RequestLogEntry) => void;
  onDenied?: (denial: Denial) => void;
  /** Milliseconds. */
  now: () => number;
}
