import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2, constants, type IncomingHttpHeaders } from "node:http2";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { EventService } from "../../../gen/tellwire/v1/event_service_pb.ts";
import { waitFor } from "../../support/wait-for.ts";
import { httpGet } from "./http-get.ts";
import { restRefusal, startLimitedServers } from "./limits-servers.ts";
import { openRawConnection, parseRawAnswer, type RawConnection } from "./raw-connection.ts";
import { createSelfSigned } from "./self-signed.ts";

const tls = createSelfSigned();
const localhost = { host: "localhost", port: 0 };
const limits = { headersTimeoutMs: 200, bodyTimeoutMs: 200 };
/** Where the headers, or a handshake of TLS before them, may take as long as they do. */
const bodyLimit = { bodyTimeoutMs: 200 };
const refused = { code: 408, status: "DEADLINE_EXCEEDED", reason: "REQUEST_TIMEOUT" };

describe.each([
  ["in the clear", {}],
  ["over TLS", { tls, http: localhost }],
])("headers of HTTP/1.1 that do not come to an end, %s", (_name, options) => {
  test.each([
    ["not at all", ""],
    ["in the midst of a header", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "],
  ])("%s: 408, and the connection ends", async (_case, bytes) => {
    const { httpUrl } = await startLimitedServers({ ...options, limits });
    const { socket, received } = await openHttpConnection(httpUrl);
    socket.write(bytes);
    const { status, head, body } = parseRawAnswer(await received);
    expect(status).toBe(408);
    expect(head).toContain("connection: close");
    expect(restRefusal(body)).toEqual(refused);
  });

  test("a byte now and then does not help", async () => {
    const { httpUrl } = await startLimitedServers({ ...options, limits });
    const { socket, received } = await openHttpConnection(httpUrl);
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    const timer = setInterval(() => socket.write("x"), 20);
    onTestFinished(() => clearInterval(timer));
    socket.on("error", () => clearInterval(timer)).on("close", () => clearInterval(timer));
    expect(parseRawAnswer(await received).status).toBe(408);
  });
});

describe("a body of HTTP/1.1 that does not come to an end", () => {
  const paths = { REST: "/v1/organizations", Connect: "/tellwire.v1.OrganizationService/CreateOrganization" };

  test.each([
    ["REST", ""],
    ["REST", "a byte now and then"],
    ["Connect", ""],
    ["Connect", "a byte now and then"],
  ] as const)("by %s: an error in time, and the connection ends %s", async (protocol, drip) => {
    const { httpUrl } = await startLimitedServers({ limits: bodyLimit });
    const { socket, received } = openRawConnection(httpUrl);
    socket.write(
      `POST ${paths[protocol]} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n{`,
    );
    const timer = setInterval(() => drip !== "" && socket.write(" "), 20);
    socket.on("error", () => clearInterval(timer)).on("close", () => clearInterval(timer));
    const { status, body } = parseRawAnswer(await received);
    clearInterval(timer);
    if (protocol === "REST") {
      expect(status).toBe(408);
      expect(restRefusal(body)).toEqual(refused);
    } else {
      expect(status).toBe(504);
      expect(JSON.parse(body)).toMatchObject({
        code: "deadline_exceeded",
        details: [{ debug: { reason: refused.reason } }],
      });
    }
  });

  test("that nobody reads ends with the time of headers and body together", async () => {
    const { httpUrl } = await startLimitedServers({ limits, gateway: () => {} });
    const { socket, received } = openRawConnection(httpUrl);
    socket.write("POST /any HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1");
    const { status, body } = parseRawAnswer(await received);
    expect(status).toBe(408);
    expect(restRefusal(body)).toEqual(refused);
  });
});

describe("over HTTP/2", () => {
  test("a unary body by gRPC that does not come to an end: its status, and the stream ends while the connection goes on", async () => {
    const { grpcUrl } = await startLimitedServers({ limits: bodyLimit });
    const session = connectHttp2(grpcUrl);
    onTestFinished(() => session.destroy());
    const slow = session.request({
      ":method": "POST",
      ":path": "/tellwire.v1.OrganizationService/CreateOrganization",
      "content-type": "application/grpc",
      te: "trailers",
    });
    slow.write(Buffer.from([0, 0, 0, 0, 100, 1]));
    const { trailers } = await answerOf(slow);
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
    expect(Buffer.from(String(trailers["grpc-status-details-bin"]), "base64").toString()).toContain("REQUEST_TIMEOUT");
    const next = session.request({ ":method": "POST", ":path": "/none", "content-type": "application/grpc" });
    next.end();
    expect((await answerOf(next)).headers["grpc-status"]).toBe(String(Code.Unimplemented));
  });

  test("a body by REST that does not come to an end: 408, and the stream ends", async () => {
    const { httpUrl } = await startLimitedServers({ limits: bodyLimit, tls, http: localhost });
    const session = connectHttp2(httpUrl, { ca: tls.cert });
    onTestFinished(() => session.destroy());
    const slow = session.request({
      ":method": "POST",
      ":path": "/v1/organizations",
      "content-type": "application/json",
    });
    slow.write("{");
    const { headers, body } = await answerOf(slow);
    expect(headers[":status"]).toBe(408);
    expect(restRefusal(body)).toEqual(refused);
  });

  test("a stream of messages may take longer than a body", async () => {
    const { grpcUrl } = await startLimitedServers({ limits: { bodyTimeoutMs: 50 } });
    const client = createClient(EventService, createGrpcTransport({ baseUrl: grpcUrl }));
    const answered = Promise.withResolvers<number>();
    async function* events() {
      yield { event: { type: "first" } };
      const answeredMs = await answered.promise;
      await waitFor(() => performance.now() - answeredMs > 200);
      yield { event: { type: "second" } };
    }
    const types: unknown[] = [];
    for await (const { result } of client.publishEventStream(events())) {
      types.push(result.value);
      answered.resolve(performance.now());
    }
    expect(types).toEqual(["first", "second"]);
  });

  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
  test.each([
    ["that says nothing", Buffer.alloc(0)],
    ["that stops after its greeting", Buffer.concat([Buffer.from(preface), settings])],
  ])("a connection %s is closed", async (_case, bytes) => {
    const { grpcUrl } = await startLimitedServers({ limits });
    const { socket, received } = openRawConnection(grpcUrl);
    socket.write(bytes);
    // What comes is the server's own greeting, and a GOAWAY.
    expect(await received).not.toContain("HTTP/1.1");
  });

  test("a connection that has asked for something once may be silent afterwards", async () => {
    // The time in which something must be asked passes when this test says so.
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const { grpcUrl } = await startLimitedServers({ limits });
    const session = connectHttp2(grpcUrl);
    onTestFinished(() => session.destroy());
    const ask = async () => {
      const stream = session.request({ ":method": "POST", ":path": "/none", "content-type": "application/grpc" });
      stream.end();
      return (await answerOf(stream)).headers["grpc-status"];
    };
    expect(await ask()).toBe("12");
    vi.advanceTimersByTime(2 * limits.headersTimeoutMs);
    expect(await ask()).toBe("12");
  });
});

test("a connection that says nothing when TLS is to be spoken is closed", async () => {
  const { httpUrl } = await startLimitedServers({ limits, tls, http: localhost });
  const { received } = openRawConnection(httpUrl.replace("https", "http"));
  expect(await received).toBe("");
});

describe("an answer that its client does not read", () => {
  const tooMuch = Buffer.alloc(64 * 1024 * 1024);

  test("over HTTP/1.1 is cut with its connection", async () => {
    const cut = Promise.withResolvers<void>();
    const { httpUrl } = await startLimitedServers({
      limits: { unreadTimeoutMs: 200 },
      gateway: (_request, response) => {
        response.once("close", cut.resolve);
        response.end(tooMuch);
      },
    });
    const { socket } = openRawConnection(httpUrl);
    socket.pause();
    socket.write("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    await cut.promise;
  });

  test("over HTTP/2 is cut alone, and the connection goes on", async () => {
    const { httpUrl } = await startLimitedServers({
      limits: { unreadTimeoutMs: 200 },
      tls,
      http: localhost,
      gateway: (_request, response) => void response.end(tooMuch.subarray(0, 1024 * 1024)),
    });
    const session = connectHttp2(httpUrl, { ca: tls.cert });
    onTestFinished(() => session.destroy());
    const unread = session.request({ ":path": "/large" });
    await waitFor(() => unread.rstCode === constants.NGHTTP2_CANCEL, { what: "the end of the stream" });
    const { headers } = await answerOf(session.request({ ":path": "/healthz" }));
    expect(headers[":status"]).toBe(200);
  });

  test("one that takes long to be made is not cut", async () => {
    const { httpUrl } = await startLimitedServers({
      limits: { unreadTimeoutMs: 50 },
      gateway: async (_request, response) => {
        const askedMs = performance.now();
        await waitFor(() => performance.now() - askedMs > 300);
        response.end("at last");
      },
    });
    expect(await httpGet(`${httpUrl}/slow`)).toMatchObject({ status: 200, body: "at last" });
  });

  test("a connection on which nothing is asked for a while is still used again", async () => {
    const { httpUrl } = await startLimitedServers({ limits: { unreadTimeoutMs: 50 } });
    const { socket, received } = openRawConnection(httpUrl);
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    const answeredMs = performance.now();
    await waitFor(() => performance.now() - answeredMs > 300);
    socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    expect((await received).match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });
});

test("slow clients hold nobody else up", async () => {
  const { httpUrl } = await startLimitedServers({
    limits: { ...limits, headersTimeoutMs: 10_000, bodyTimeoutMs: 10_000 },
  });
  const slow = Array.from({ length: 200 }, () => openRawConnection(httpUrl).socket);
  for (const socket of slow) socket.write("POST /v1/organizations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  expect(await httpGet(`${httpUrl}/v1/organizations/org_1`)).toMatchObject({ status: 200 });
});

/**
 * A connection on which the server waits for HTTP. A handshake of TLS has no more time than headers have: where this machine stood still for as
 * long, the server has given the connection up, and another one is made.
 */
async function openHttpConnection(url: string): Promise<RawConnection> {
  for (;;) {
    const connection = openRawConnection(url);
    if (new URL(url).protocol === "http:") return connection;
    const { promise: begun, resolve } = Promise.withResolvers<boolean>();
    // The server gives out its tickets when it takes the handshake for done. While one is read, OpenSSL can write nothing.
    connection.socket.once("session", () => setImmediate(resolve, true));
    void connection.received.then(() => resolve(false));
    if (await begun) return connection;
  }
}

interface Http2Answer {
  headers: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders;
  body: string;
}

/** The whole answer; the request itself may still be open when its stream closes. */
async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let trailers: IncomingHttpHeaders = {};
  stream.on("trailers", (received) => {
    trailers = received;
  });
  const closed = once(stream, "close");
  const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await closed;
  return { headers, trailers, body: Buffer.concat(chunks).toString() };
}
