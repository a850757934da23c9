import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ReceivedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  receivedAt: number;
}

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

/** Answers the request with the number (from 0); "hang" never answers. */
export type Respond = (request: ReceivedRequest, index: number) => Reply | "hang" | Promise<Reply | "hang">;

export interface Receiver {
  /** With a path of `/hook`. */
  url: string;
  /** In the order of their arrival, the body complete. Those whose sender went away before are left out. */
  requests: ReceivedRequest[];
  /** From now on requests are answered in another way. */
  respondWith(respond: Respond): void;
  close(): Promise<void>;
}

/** A real HTTP server on a free port of the loopback interface that remembers what it got. */
export async function startReceiver(respond: Respond = () => ({ status: 204 })): Promise<Receiver> {
  const requests: ReceivedRequest[] = [];
  let current = respond;
  const server = createServer(async (incoming, response) => {
    const body = await readBody(incoming);
    if (body === undefined) {
      return;
    }
    const request: ReceivedRequest = {
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      headers: incoming.headers,
      body,
      receivedAt: Date.now(),
    };
    const index = requests.push(request) - 1;
    answer(response, await current(request, index));
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  server.keepAliveTimeout = neverMs;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    requests,
    respondWith(next) {
      current = next;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Who sends ends an idle connection. The receiver would end it at the very moment of the next request, now and then, which is then a failed attempt. */
const neverMs = 0;

/** Undefined where the sender went away before its end, such as a process that was killed. */
async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming) {
      chunks.push(chunk as Buffer);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** A receiver's answer that echoes the verification challenge, and 204 to everything else. */
export function echoChallenge(request: ReceivedRequest): Reply {
  const challenge = new URL(request.path, "http://receiver").searchParams.get("verification_challenge");
  return challenge === null ? { status: 204 } : { status: 200, body: challenge };
}

function answer(response: ServerResponse, reply: Reply | "hang"): void {
  if (reply !== "hang") {
    response.writeHead(reply.status, reply.headers);
    response.end(reply.body);
  }
}
