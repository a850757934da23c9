import { ConnectError, type Interceptor } from "@connectrpc/connect";

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
export function createRequestLogInterceptor({ now, onRequest }: RequestLogOptions): Interceptor {
  return (next) => async (request) => {
    const startedMs = now();
    const report = (code: number): void =>
      onRequest({ method: `${request.service.typeName}/${request.method.name}`, code, latencyMs: now() - startedMs });
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

export interface RequestLogOptions {
  /** Milliseconds. */
  now: () => number;
  onRequest: (entry: RequestLogEntry) => void;
}
