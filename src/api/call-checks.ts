import type { Validator } from "@bufbuild/protovalidate";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import { createValidateInterceptor } from "@connectrpc/validate";
import type { Authenticate } from "../usecases/authenticate.ts";
import type { CallLimits } from "../usecases/call-limits.ts";
import { createAdmission, createAuthInterceptor } from "./interceptors/auth-interceptor.ts";
import { createDenialLog, createDenialLogInterceptor, type Denial } from "./interceptors/denial-log-interceptor.ts";
import {
  createErrorInterceptor,
  createErrorTranslation,
  type OnServerError,
} from "./interceptors/error-interceptor.ts";
import {
  createRequestLog,
  createRequestLogInterceptor,
  type RequestLogEntry,
} from "./interceptors/request-log-interceptor.ts";
import type { RequestGate } from "./request-gate.ts";

/**
 * What every call passes. First the gate, before any of its body is read: authentication, limits and scope. What it refuses is logged and
 * translated like any other error, and goes no further. Then the interceptors, outermost first: the log of requests, which sees the final error; the
 * translation of errors, which covers everything inside it; the log of denied calls; authentication, for calls that came past no gate and for the
 * messages of streams; and the contract's rules, so that strangers learn nothing, not even what a valid request is.
 */
export function createCallChecks(options: CallChecksOptions): CallChecks {
  const { validator, newRequestId, onServerError, now, onRequest = ignore, onDenied = ignore } = options;
  const admission = createAdmission(options);
  const errorOptions = { newRequestId, onServerError };
  return {
    gate: createGate({
      admit: admission.admit,
      begin: createRequestLog({ now, onRequest }),
      logDenial: createDenialLog({ onDenied }),
      translate: createErrorTranslation(errorOptions),
    }),
    interceptors: [
      createRequestLogInterceptor({ now, onRequest }),
      createErrorInterceptor(errorOptions),
      createDenialLogInterceptor({ onDenied }),
      createAuthInterceptor(admission),
      createValidateInterceptor({ validator }),
    ],
  };
}

export interface CallChecks {
  gate: RequestGate;
  interceptors: Interceptor[];
}

export interface CallChecksOptions {
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

interface GateParts {
  admit: RequestGate;
  begin: ReturnType<typeof createRequestLog>;
  logDenial: ReturnType<typeof createDenialLog>;
  translate: ReturnType<typeof createErrorTranslation>;
}

/** Does for a call that is refused what the interceptors do for one that fails. Of one that passes nothing is told: it is told of when it is answered. */
function createGate({ admit, begin, logDenial, translate }: GateParts): RequestGate {
  return async (call) => {
    const report = begin(call);
    try {
      await admit(call);
    } catch (thrown) {
      logDenial(call, thrown);
      const shown = translate(call, thrown);
      report(ConnectError.from(shown).code);
      throw shown;
    }
  };
}

function ignore(): void {}
