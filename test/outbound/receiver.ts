import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { onTestFinished } from "vitest";
import { type AddressGuardOptions, createAddressGuard } from "../../src/outbound/address-guard.ts";
import { createHttpClient, type HttpClient, type HttpClientOptions } from "../../src/outbound/http-client.ts";

/** A server on a free port of 127.0.0.1, closed with all its connections when the test is over. */
export interface Receiver {
  port: number;
  url: string;
  /** Every connection that was ever made. */
  sockets: Socket[];
}

/** A request as a receiver got it. */
export interface ReceivedRequest {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

/** Starts a proper HTTP server; `requests` holds what it got. */
export async function startHttpReceiver(
  answer: (request: ReceivedRequest, response: ServerResponse) => void,
): Promise<Receiver & { requests: ReceivedRequest[] }> {
  const requests: ReceivedRequest[] = [];
  const server = createHttpServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const { method = "", url = "", headers } = incoming;
    const request = { method, url, headers, body: Buffer.concat(chunks) };
    requests.push(request);
    answer(request, response);
  });
  // The client alone decides how long a connection is kept.
  server.keepAliveTimeout = 0;
  return { ...(await listen(server, "http")), requests };
}

/** Starts a TCP server that may do anything. */
export function startTcpReceiver(onSocket: (socket: Socket, index: number) => void): Promise<Receiver> {
  let count = 0;
  return listen(
    createTcpServer((socket) => onSocket(socket, count++)),
    "http",
  );
}

/** Starts a TLS server that answers 204 to whatever comes; `received` holds what came through the encryption. */
export async function startTlsReceiver(options: TlsOptions): Promise<Receiver & { received: string[] }> {
  const received: string[] = [];
  const server = createTlsServer(options, (socket) => {
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      received.push(chunk.toString());
      socket.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
  });
  server.on("tlsClientError", () => {});
  return { ...(await listen(server, "https")), received };
}

/** A client that may go to 127.0.0.0/8 over http; closed when the test is over. */
export function startClient(
  options: Partial<Omit<HttpClientOptions, "policy">> & {
    guard?: Partial<AddressGuardOptions>;
    allowHttp?: boolean;
    allowPorts?: number[];
  } = {},
): HttpClient {
  const { guard, allowHttp = true, allowPorts = [], ...rest } = options;
  const policy = { guard: createAddressGuard({ allow: ["127.0.0.0/8"], deny: [], ...guard }), allowHttp, allowPorts };
  const client = createHttpClient({ policy, userAgent: "Tellwire/test", ...rest });
  onTestFinished(() => client.close());
  return client;
}

/** A POST with defaults; its deadline is far beyond what anything here takes. */
export function post(url: string, changes: { timeoutMs?: number; maxResponseBytes?: number } = {}) {
  const body = Buffer.from("{}");
  return { method: "POST" as const, url, headers: {}, body, timeoutMs: 60_000, maxResponseBytes: 16_384, ...changes };
}

async function listen(server: Server, scheme: string): Promise<Receiver> {
  const sockets: Socket[] = [];
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { port, url: `${scheme}://127.0.0.1:${port}/hook`, sockets };
}
