import { ConnectError } from "@connectrpc/connect";

/** What somebody outside gets to see, by where it came from. */
export interface Seen {
  place: string;
  text: string;
}

export interface SearchedCalls {
  /** An HTTP request; its answer is kept where it is an error, with all headers. The body of the answer, whatever it is. */
  http(method: string, path: string, options?: HttpCall): Promise<{ status: number; text: string }>;
  /** An RPC by a client of its own; what it fails with is kept. */
  rpc<Answer>(place: string, call: Promise<Answer>): Promise<Answer | undefined>;
  /** Keeps a text. */
  keep(place: string, text: string): void;
  seen: readonly Seen[];
}

export interface HttpCall {
  headers?: Record<string, string>;
  /** A text or bytes as they are, or a value to be written as JSON. */
  body?: unknown;
}

/** Calls whose failures are kept, to be looked through. A call that is not answered at all keeps what the client says. */
export function createSearchedCalls(origin: () => string): SearchedCalls {
  const seen: Seen[] = [];
  const keep = (place: string, text: string): void => void seen.push({ place, text });
  return {
    seen,
    keep,
    async http(method, path, { headers = {}, body } = {}) {
      const isAsItIs = body === undefined || typeof body === "string" || body instanceof Uint8Array;
      const sent = isAsItIs ? (body as NonNullable<RequestInit["body"]> | undefined) : JSON.stringify(body);
      const response = await fetch(origin() + path, {
        method,
        headers: { ...(sent === undefined ? {} : { "content-type": "application/json" }), ...headers },
        ...(sent === undefined ? {} : { body: sent }),
      });
      const text = await response.text();
      // The errors of gRPC-Web stand in the body of a 200.
      const isWebError = /grpc-status: *[1-9]/.test(text);
      if (response.status >= 400 || isWebError) {
        keep(
          `${method} ${path.split("?")[0]}: ${response.status}`,
          `${JSON.stringify([...response.headers])}\n${text}`,
        );
      }
      return { status: response.status, text };
    },
    async rpc(place, call) {
      try {
        return await call;
      } catch (error) {
        keep(place, describe(error));
        return undefined;
      }
    },
  };
}

/** With details and metadata. */
function describe(error: unknown): string {
  if (error instanceof ConnectError) {
    const { rawMessage, metadata, details } = error;
    return JSON.stringify([rawMessage, [...metadata], details.map((detail) => JSON.stringify(detail, bytesAsText))]);
  }
  const { message, metadata } = error as { message: string; metadata?: { getMap(): object } };
  return JSON.stringify([message, metadata?.getMap()], bytesAsText);
}

/** Texts inside of details are found as texts. */
function bytesAsText(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown };
  if (type === "Buffer" && Array.isArray(data)) return Buffer.from(data as number[]).toString("utf8");
  return value instanceof Uint8Array ? Buffer.from(value).toString("utf8") : value;
}
