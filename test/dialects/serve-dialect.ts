import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Dialect } from "../../src/dialects/dialect.ts";
import { createDialectHandler, type DialectRefusal } from "../../src/dialects/dialect-handler.ts";
import type { TestApi } from "../api/start-api.ts";
import { peer } from "../support/principals.ts";

/** A dialect behind a real HTTP server, on the use cases of a test API. */
export interface ServedDialect {
  call: DialectCall;
  /** What failed because of us. */
  failures: { requestId: string; method: string; error: unknown }[];
  /** What was answered with a failure. */
  refusals: DialectRefusal[];
  baseUrl: string;
  close(): Promise<void>;
}

/** Sends a request. A text is sent as it stands, anything else as JSON; both as application/json. */
export type DialectCall = (
  method: string,
  path: string,
  options?: { key?: string; body?: unknown; headers?: Record<string, string> },
) => Promise<DialectReply>;

export interface DialectReply {
  status: number;
  headers: Headers;
  /** Parsed; undefined where there was no body. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape.
  body: any;
}

export async function serveDialect(
  api: TestApi,
  dialect: Dialect,
  { maxBodyBytes = 65_536, bodyTimeoutMs = 60_000 } = {},
): Promise<ServedDialect> {
  const failures: ServedDialect["failures"] = [];
  const refusals: DialectRefusal[] = [];
  let requests = 0;
  const handle = createDialectHandler(dialect, {
    authenticate: api.useCases.authenticate,
    callLimits: api.useCases.callLimits,
    readPeer: () => peer,
    runIdempotently: api.useCases.runIdempotently,
    maxBodyBytes,
    bodyTimeoutMs,
    newRequestId: () => `req_${++requests}`,
    onServerError: (failure) => void failures.push(failure),
    onRefusal: (refusal) => void refusals.push(refusal),
  });
  const server = createServer(async (request, response) => {
    if (!(await handle(request, response))) {
      response.writeHead(421).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const baseUrl = `http://127.0.0.1:${port}`;
  return {
    failures,
    refusals,
    baseUrl,
    call: createDialectCall(baseUrl),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * The same for a server that is up already. Each request has a connection of its own: one that is kept may be closed by the server at the moment of
 * the next request.
 */
export function createDialectCall(baseUrl: string): DialectCall {
  return async (method, path, { key, body, headers = {} } = {}) => {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: {
        connection: "close",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  };
}
