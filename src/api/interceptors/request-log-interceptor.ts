import { ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Call } from "../request-gate.ts";

/** One call that was answered. */
export interface RequestLogEntry {
  /** `tellwire.v1.WebhookService/CreateWebhook`. */
  method: string;
  /** A number of gRPC's: 0 where the call succeeded. */
  code: number;
  /** Until the answer; for a stream, until it began. */
  latencyMs: number;
}

/** Reports each call when it is answered. */
export function createRequestLogInterceptor(options: RequestLogOptions): Interceptor {
  const begin = createRequestLog(options);
  return (next) => async (request) => {
    const report = begin(request);
    try {
      const response = await next(request);
      report(0);
      return response;
    } catch (error) {
      report(ConnectError.from(error).code);
      throw error;
    }
  };
}

/** Begins a call, and gives the function that reports with which code it was answered. */
export function createRequestLog({ now, onRequest }: RequestLogOptions): (call: Call) => (code: number) => void {
  return ({ service, method }) => {
    const startedMs = now();
    return (code) => onRequest({ method: `${service.typeName}/${method.name}`, code, latencyMs: now() - startedMs });
  };
}

export interface RequestLogOptions {
  /** Milliseconds. */
  now: () => number;
  onRequest: (entry: RequestLogEntry) => void;
}
