import { type AddressInfo, createServer, type Socket } from "node:net";

/** A receiver that gives everything back that it gets, wherever HTTP has a place for it, and in answers that are none. */
export interface HostileReceiver {
  /** A URL whose requests are answered in that way. */
  url(manner: Manner): string;
  requests(): number;
  close(): Promise<void>;
}

export type Manner = keyof typeof manners;

export async function startHostileReceiver(): Promise<HostileReceiver> {
  let requests = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    let received = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      received += chunk;
      const request = wholeRequest(received);
      if (request === undefined) return;
      received = "";
      requests += 1;
      const manner = /^\S+ \/(\w+)/.exec(request.head)?.[1] ?? "";
      socket.end(manners[manner as Manner]?.(request) ?? "", "latin1");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (manner) => `http://127.0.0.1:${port}/${manner}`,
    requests: () => requests,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Request {
  head: string;
  body: string;
}

const manners = {
  /** A success that shows everything. */
  echo: (request: Request) => response("200 OK", request),
  /** A failure that shows everything, in its reason phrase and its headers too. */
  fail: (request: Request) => response(`500 ${valuesOf(request).slice(0, 300)}`, request),
  busy: (request: Request) => response("503 Busy", request, `Retry-After: ${valuesOf(request).slice(0, 100)}\r\n`),
  redirect: (request: Request) =>
    response("302 Found", request, `Location: http://example.com/?${valuesOf(request)}\r\n`),
  /** A first line that is none, made of what came. */
  garbage: ({ head, body }: Request) => `${valuesOf({ head, body })}\r\n\r\n${head}${body}`,
  /** Headers that are none. */
  headers: ({ head }: Request) => `HTTP/1.1 200 OK\r\n${head.replaceAll(":", " ")}\r\n\r\n`,
  length: (request: Request) => `HTTP/1.1 200 OK\r\nContent-Length: ${valuesOf(request)}\r\n\r\n`,
  /** Consents to the handshake with another origin: all that came. */
  handshake: (request: Request) => response("200 OK", request, `WebHook-Allowed-Origin: ${valuesOf(request)}\r\n`),
  /** Nothing at all. */
  silence: () => "",
  gone: (request: Request) => response("410 Gone", request),
};

function response(status: string, { head, body }: Request, headers = ""): string {
  const echoed = head
    .split("\r\n")
    .slice(1)
    .filter((line) => /^(authorization|x-|webhook-)/i.test(line))
    .map((line) => `X-Echo-${line}\r\n`)
    .join("");
  const text = head + body;
  return `HTTP/1.1 ${status}\r\n${echoed}${headers}Content-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`;
}

/** All values of the headers, in one line, the secret ones first. */
function valuesOf({ head, body }: Request): string {
  const values = head
    .split("\r\n")
    .slice(1)
    .map((line) => line.replace(/^[^:]*: ?/, ""));
  return [...values.toReversed(), body].join(" ").replace(/[^ -~]/g, "");
}

function wholeRequest(text: string): Request | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = text.slice(0, end);
  const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  const body = text.slice(end + 4);
  return body.length >= length ? { head, body } : undefined;
}
