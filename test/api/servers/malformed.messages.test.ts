import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { gzipSync } from "node:zlib";
import type { Interceptor } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { createErrorInterceptor, type ServerFailure } from "../../../src/api/interceptors/error-interceptor.ts";
import { waitFor } from "../../support/wait-for.ts";
import { startLimitedServers } from "./limits-servers.ts";
import { openRawConnection, parseRawAnswer } from "./raw-connection.ts";

const unary = "/tellwire.v1.OrganizationService/GetOrganization";
const stream = "/tellwire.v1.EventService/PublishEventStream";
/** A field of length 127 of which nothing follows. */
const noMessage = Buffer.from([0x0a, 0x7f]);
/** Of which 128 characters are shown: as code units, they end within the emoji. */
const longName = `${"n".repeat(127)}😀${"n".repeat(127)}`;

test.each([
  ["bytes that are no message", "application/proto", noMessage, {}],
  [
    "bytes that are not compressed, although they say so",
    "application/proto",
    noMessage,
    { "content-encoding": "gzip" },
  ],
  [
    "compressed bytes that end early",
    "application/proto",
    gzipSync("x").subarray(0, 12),
    { "content-encoding": "gzip" },
  ],
  ["bytes that are no brotli", "application/proto", noMessage, { "content-encoding": "br" }],
  ["JSON that is no UTF-8", "application/json", Buffer.from('{"id":"\xff"}', "latin1"), {}],
  ["a number that would become another one", "application/json", Buffer.from('{"id":9007199254740993}'), {}],
])("Connect: %s are their sender's fault", async (_name, type, body, headers) => {
  const { httpUrl, logLines } = await startLimitedServers();
  const response = await fetch(httpUrl + unary, {
    method: "POST",
    headers: { "content-type": type, ...headers },
    body: new Uint8Array(body),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ code: "invalid_argument" });
  expect(logLines).toEqual([]);
});

test("gRPC: bytes that are no message are their sender's fault", async () => {
  const session = connectTo((await startLimitedServers()).grpcUrl);
  const call = begin(session, unary, "application/grpc");
  const trailers = once(call, "trailers");
  call.end(envelope(noMessage));
  expect((await trailers)[0]).toMatchObject({
    "grpc-status": "3",
    "grpc-message": "the message cannot be read: premature EOF",
  });
});

test("gRPC-Web: bytes that are no message are their sender's fault", async () => {
  const answer = await grpcWeb("application/grpc-web+proto", noMessage);
  expect(answer).toContain("grpc-status: 3");
});

test.each([
  ["an emoji that the message about it cuts in two", `{"id":"${"😀".repeat(30)}`],
  ["half of a surrogate pair as a name that stands twice", '{"\\ud800":1,"\\ud800":2}'],
  ["a name that stands twice, and is cut at an emoji", `{"${longName}":1,"${longName}":2}`],
])("gRPC-Web with JSON: %s is answered, although no header can hold it", async (_name, text) => {
  expect(await grpcWeb("application/grpc-web+json", Buffer.from(text))).toContain("grpc-status: 3");
});

test("a stream of Connect ends with its sender's fault, where bytes are no message", async () => {
  const session = connectTo((await startLimitedServers()).grpcUrl);
  const call = begin(session, stream, "application/connect+proto");
  call.end(envelope(noMessage));
  const answer = Buffer.concat(await Array.fromAsync(call as AsyncIterable<Buffer>));
  expect(answer[0]).toBe(2);
  expect(answer.readUInt32BE(1)).toBe(answer.length - 5);
  expect(JSON.parse(answer.toString("utf8", 5))).toMatchObject({ error: { code: "invalid_argument" } });
});

const update = "/tellwire.v1.OrganizationService/UpdateOrganization";
const secret = "a-secret-in-the-wrong-place";
/** A parser of int64 repeats the whole text, one of names the whole name. */
const misplaced = (text: string): Buffer => Buffer.from(`{"organization":{"limits":{"maxEventsPerDay":"${text}"}}}`);

describe.each([
  ["a value", misplaced(secret)],
  ["a value so long that the answer would be compressed", misplaced(secret.repeat(200))],
])("%s that is no value of its field is not repeated", (_name, json) => {
  test.each(["gzip", "br", "identity"])("by Connect, accepting %s", async (encoding) => {
    const { httpUrl } = await startLimitedServers();
    const headers = { "content-type": "application/json", "accept-encoding": encoding };
    const response = await fetch(httpUrl + update, { method: "POST", headers, body: new Uint8Array(json) });
    expect(response.status).toBe(400);
    const error = (await response.json()) as { code: string; message: string };
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toMatch(/max_events_per_day from JSON: the value does not fit$/);
  });

  test.each(["gzip", "br", "identity"])("by gRPC-Web, accepting %s", async (encoding) => {
    const answer = await grpcWeb("application/grpc-web+json", json, { path: update, encoding });
    expect(answer).toContain("grpc-status: 3");
    expect(decodeURIComponent(answer)).toContain("max_events_per_day from JSON: the value does not fit");
    expect(answer).not.toContain(secret);
  });

  test("by gRPC", async () => {
    const session = connectTo((await startLimitedServers()).grpcUrl);
    const call = begin(session, update, "application/grpc+json");
    const trailers = once(call, "trailers");
    call.end(envelope(json));
    expect((await trailers)[0]).toMatchObject({
      "grpc-status": "3",
      "grpc-message": expect.stringMatching(/max_events_per_day from JSON: the value does not fit$/),
    });
  });
});

test("in a stream of Connect, a value that is no value of its field is not repeated", async () => {
  const session = connectTo((await startLimitedServers()).grpcUrl);
  const call = begin(session, stream, "application/connect+json");
  call.end(envelope(Buffer.from(`{"event":{"occurTime":{"a":"${secret}"}}}`)));
  const answer = Buffer.concat(await Array.fromAsync(call as AsyncIterable<Buffer>)).toString("utf8");
  expect(answer).toContain("invalid_argument");
  expect(answer).not.toContain(secret);
});

test("of a name that stands twice no more is repeated than one can read", async () => {
  const { httpUrl } = await startLimitedServers();
  const headers = { "content-type": "application/json" };
  const name = "n".repeat(20_000);
  const body = `{"${name}":1,"${name}":2}`;
  const response = await fetch(httpUrl + update, { method: "POST", headers, body });
  const text = await response.text();
  expect(text).toMatch(/duplicate object key \\"n+…\\"/);
  expect(text.length).toBeLessThan(300);
});

test.each(["in the middle of a request", "in the middle of an answer"])(
  "a client that leaves %s is no failure of ours",
  async (when) => {
    const failures: ServerFailure[] = [];
    const onServerError = (failure: ServerFailure): void => void failures.push(failure);
    const errors = createErrorInterceptor({ newRequestId: () => "req_1", onServerError });
    let calls = 0;
    const count: Interceptor = (next) => (request) => {
      calls += 1;
      return next(request);
    };
    const { grpcUrl, logLines } = await startLimitedServers({
      interceptors: [errors, count],
    });
    const session = connectTo(grpcUrl);
    const call = begin(session, stream, "application/grpc");
    call.on("error", () => {});
    const event = envelope(Buffer.from([0x0a, 0x03, 0x22, 0x01, 0x78]));
    call.write(when === "in the middle of a request" ? event.subarray(0, 7) : event);
    await waitFor(() => calls === 1);
    if (when === "in the middle of an answer") await once(call, "data");
    call.write(Buffer.alloc(3));
    call.close(8);
    await once(call, "close");
    // The next call on the connection is answered after the server has seen the end of the first.
    const next = begin(session, unary, "application/grpc");
    const trailers = once(next, "trailers");
    next.resume();
    next.end(envelope(Buffer.alloc(0)));
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "0" });
    expect({ failures, logLines }).toEqual({ failures: [], logLines: [] });
  },
);

test("a request of HTTP/1.1 that calls itself HTTP/2.0 is refused, and the server goes on", async () => {
  const { httpUrl } = await startLimitedServers();
  const { socket, received } = openRawConnection(httpUrl);
  socket.end("GET /v1/organizations HTTP/2.0\r\nhost: x\r\ncontent-length: 1\r\n\r\n");
  const { status, body } = parseRawAnswer(await received);
  expect({ status, body }).toEqual({ status: 400, body: expect.stringContaining("MALFORMED_REQUEST") });
  expect((await fetch(`${httpUrl}/healthz`)).status).toBe(200);
});

async function grpcWeb(
  type: string,
  message: Buffer,
  { path = unary, encoding = "identity" }: { path?: string; encoding?: string } = {},
): Promise<string> {
  const { httpUrl } = await startLimitedServers();
  const response = await fetch(httpUrl + path, {
    method: "POST",
    headers: { "content-type": type, "grpc-accept-encoding": encoding },
    body: new Uint8Array(envelope(message)),
  });
  expect(response.status).toBe(200);
  return await response.text();
}

function connectTo(url: string): ClientHttp2Session {
  const session = connect(url);
  onTestFinished(() => session.destroy());
  return session;
}

function begin(session: ClientHttp2Session, path: string, type: string): ClientHttp2Stream {
  return session.request({ ":method": "POST", ":path": path, "content-type": type, te: "trailers" });
}

function envelope(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
