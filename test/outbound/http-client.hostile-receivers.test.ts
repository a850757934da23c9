import { type AddressInfo, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { post, startClient, startHttpReceiver, startTcpReceiver } from "./receiver.ts";

const OK_HEAD = "HTTP/1.1 200 OK\r\n";

/** Writes as fast as the other side reads, until it goes. */
function flood(socket: Socket, chunk: string): void {
  const write = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on("drain", write).resume();
  write();
}

/** Writes a byte every few milliseconds, until the other side goes. */
function drip(socket: Socket, byte = "x"): void {
  const timer = setInterval(() => socket.write(byte), 5);
  socket.on("close", () => clearInterval(timer)).resume();
}

test("a redirect is an answer, and is not followed", async () => {
  const target = await startHttpReceiver((_request, response) => response.end());
  for (const status of [301, 302, 303, 307, 308]) {
    const receiver = await startHttpReceiver((_request, response) =>
      response.writeHead(status, { location: target.url }).end(),
    );
    expect(await startClient().send(post(receiver.url))).toMatchObject({ kind: "response", status });
  }
  expect(target.requests).toHaveLength(0);
});

test.each([
  ["body that drips", `${OK_HEAD}content-length: 100000\r\n\r\n`],
  ["chunked body that drips", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n186a0\r\n`],
  ["chunk extension that drips", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n1;`],
  ["body that ends with the connection, and drips", `${OK_HEAD}\r\n`],
  ["head that drips", `${OK_HEAD}x-slow: `],
  ["status line that drips", "HTTP/1.1 200 "],
])("a %s hits the deadline, and its connection is closed", async (_what, start) => {
  const receiver = await startTcpReceiver((socket) => {
    socket.write(start);
    drip(socket);
  });
  const answer = await startClient().send(post(receiver.url, { timeoutMs: 200 }));
  expect(answer).toMatchObject({ kind: "failure", error: "TIMEOUT", message: "no complete response within 200 ms" });
  expect(answer.latencyMs).toBeGreaterThanOrEqual(199);
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
});

test("a receiver that accepts and never answers hits the deadline", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.resume());
  expect(await startClient().send(post(receiver.url, { timeoutMs: 100 }))).toMatchObject({
    kind: "failure",
    error: "TIMEOUT",
  });
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
});

test.each([
  ["informational responses", "HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n"],
  ["processing responses", "HTTP/1.1 102 Processing\r\n\r\n"],
])("endless %s hit the deadline", async (_what, chunk) => {
  const receiver = await startTcpReceiver((socket) => {
    const timer = setInterval(() => socket.write(chunk.repeat(100)), 5);
    socket.on("close", () => clearInterval(timer)).resume();
  });
  expect(await startClient().send(post(receiver.url, { timeoutMs: 200 }))).toMatchObject({
    kind: "failure",
    error: "TIMEOUT",
  });
});

test.each([
  ["with a length", `${OK_HEAD}content-length: 99999999999\r\n\r\n`, "x".repeat(65_536)],
  ["in chunks", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n`, `400\r\n${"x".repeat(1024)}\r\n`],
  ["in chunks of one byte", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n`, "1\r\nx\r\n".repeat(1000)],
  ["without any length", `${OK_HEAD}\r\n`, "x".repeat(65_536)],
])("an endless body %s is cut at 16 KiB, and its connection is closed", async (_how, head, chunk) => {
  const receiver = await startTcpReceiver((socket) => {
    socket.write(head);
    flood(socket, chunk);
  });
  const answer = await startClient().send(post(receiver.url));
  expect(answer).toMatchObject({ kind: "response", status: 200, truncated: true });
  if (answer.kind === "response") expect(answer.body.toString()).toBe("x".repeat(16_384));
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
});

test("a body of exactly the limit is complete", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end("x".repeat(16_384)));
  const answer = await startClient().send(post(receiver.url));
  expect(answer).toMatchObject({ kind: "response", truncated: false });
  if (answer.kind === "response") expect(answer.body).toHaveLength(16_384);
});

test.each([
  ["one endless header", `${OK_HEAD}x-a: `, "x".repeat(1000)],
  ["headers without end", OK_HEAD, "x-a: b\r\n".repeat(100)],
  ["a header name without end", OK_HEAD, "x".repeat(1000)],
])("%s is refused at 16 KiB as PROTOCOL", async (_what, start, chunk) => {
  const receiver = await startTcpReceiver((socket) => {
    socket.write(start);
    flood(socket, chunk);
  });
  expect(await startClient().send(post(receiver.url))).toMatchObject({ kind: "failure", error: "PROTOCOL" });
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
});

test.each([
  ["informational responses", "", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(100)],
  ["a reason phrase", "HTTP/1.1 200 ", "x".repeat(1000)],
  ["a chunk extension", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n1;`, "x".repeat(1000)],
  ["empty lines before the head", "", "\r\n".repeat(500)],
])("%s without end are cut off and PROTOCOL, long before the deadline", async (_what, start, chunk) => {
  const receiver = await startTcpReceiver((socket) => {
    socket.once("data", () => {
      socket.write(start);
      flood(socket, chunk);
    });
  });
  const answer = await startClient().send(post(receiver.url, { timeoutMs: 120_000 }));
  expect(answer).toMatchObject({ kind: "failure", error: "PROTOCOL" });
  expect(answer.latencyMs).toBeLessThan(60_000);
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
  // Most of it is what the sockets of both sides hold.
  expect(receiver.sockets[0]!.bytesWritten).toBeLessThan(16 * 1024 * 1024);
});

test.each([
  ["refused", 16_500],
  ["taken", 16_000],
])("a head that comes in one piece is %s with %d bytes of names and values", async (what, size) => {
  const receiver = await startTcpReceiver((socket) => {
    socket.once("data", () => socket.write(`${OK_HEAD}x-b: ${"y".repeat(size)}\r\ncontent-length: 2\r\n\r\nok`));
  });
  const answer = await startClient().send(post(receiver.url));
  expect(answer).toMatchObject(what === "taken" ? { kind: "response" } : { kind: "failure", error: "PROTOCOL" });
});

test("chunks of one byte in long wrappings are cut off at 256 KiB", async () => {
  const receiver = await startTcpReceiver((socket) => {
    socket.once("data", () => {
      socket.write(`${OK_HEAD}transfer-encoding: chunked\r\n\r\n`);
      flood(socket, `1;${"x".repeat(8_000)}\r\ny\r\n`);
    });
  });
  const answer = await startClient().send(post(receiver.url));
  expect(answer).toMatchObject({ kind: "failure", error: "PROTOCOL", message: expect.stringContaining("256 KiB") });
});

test("some informational responses are skipped, and the one that counts is taken", async () => {
  const receiver = await startTcpReceiver((socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(20));
      socket.write(`${OK_HEAD}content-length: 2\r\n\r\nok`);
    });
  });
  expect(await startClient().send(post(receiver.url))).toMatchObject({ kind: "response", status: 200 });
});

test("trailers without end are refused as PROTOCOL", async () => {
  const receiver = await startTcpReceiver((socket) => {
    socket.write(`${OK_HEAD}transfer-encoding: chunked\r\n\r\n0\r\n`);
    flood(socket, "x-a: b\r\n".repeat(100));
  });
  expect(await startClient().send(post(receiver.url))).toMatchObject({ kind: "failure", error: "PROTOCOL" });
});

test.each([
  ["no HTTP at all", "220 mail.example ESMTP\r\n"],
  ["another version", "HTTP/3.0 200 OK\r\n\r\n"],
  ["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a status beyond three digits", "HTTP/1.1 2000 OK\r\n\r\n"],
  ["two lengths", `${OK_HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\nab`],
  ["a length and chunks", `${OK_HEAD}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["a length that is none", `${OK_HEAD}content-length: abc\r\n\r\n`],
  ["a chunk size that is none", `${OK_HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`],
  ["a length below zero", `${OK_HEAD}content-length: -1\r\n\r\n`],
  ["a length with a sign", `${OK_HEAD}content-length: +1\r\n\r\na`],
  ["a length in hexadecimal", `${OK_HEAD}content-length: 0x1\r\n\r\na`],
  ["a length beyond all numbers", `${OK_HEAD}content-length: 99999999999999999999999\r\n\r\n`],
  ["a list of lengths", `${OK_HEAD}content-length: 1, 1\r\n\r\na`],
  ["chunks and then a length", `${OK_HEAD}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`],
  ["a chunk size below zero", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n-1\r\n`],
  ["a chunk size beyond all numbers", `${OK_HEAD}transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\na`],
  ["a chunk size in hexadecimal notation", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n`],
  ["a chunk that is longer than it says", `${OK_HEAD}transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n`],
  ["lines that end with LF alone", "HTTP/1.1 200 OK\ncontent-length: 0\n\n"],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
  ["a page without any head, as in HTTP/0.9", "<html>hello</html>"],
  ["a header without a colon", `${OK_HEAD}x-a\r\n\r\n`],
  ["a header with a space in its name", `${OK_HEAD}x a: b\r\n\r\n`],
  ["a header with NUL", `${OK_HEAD}x-a: b\0c\r\n\r\n`],
  ["100 Continue, which was not asked for", "HTTP/1.1 100 Continue\r\n\r\n"],
  ["a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"],
])("%s is PROTOCOL", async (_what, text) => {
  const receiver = await startTcpReceiver((socket) => void socket.resume().write(text));
  expect(await startClient().send(post(receiver.url))).toMatchObject({ kind: "failure", error: "PROTOCOL" });
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
});

test.each([
  ["closes at once", (socket: Socket) => socket.end()],
  ["resets at once", (socket: Socket) => socket.resetAndDestroy()],
  ["closes after the request", (socket: Socket) => socket.once("data", () => socket.end())],
  ["resets after the request", (socket: Socket) => socket.once("data", () => socket.resetAndDestroy())],
  ["closes inside the head", (socket: Socket) => socket.once("data", () => socket.end(`${OK_HEAD}x-a`))],
  [
    "resets inside the body",
    (socket: Socket) =>
      socket.once("data", () => {
        socket.write(`${OK_HEAD}content-length: 10\r\n\r\nabc`, () => socket.resetAndDestroy());
      }),
  ],
])("a receiver that %s is a CONNECTION failure, and the request is not sent again", async (_what, act) => {
  const receiver = await startTcpReceiver((socket) => void act(socket));
  const answer = await startClient().send(post(receiver.url));
  expect(answer).toMatchObject({ kind: "failure", error: "CONNECTION" });
  expect(receiver.sockets).toHaveLength(1);
});

test("a body that ends before its length is a failure, and never a success", async () => {
  const receiver = await startTcpReceiver((socket) => {
    socket.once("data", () => socket.end(`${OK_HEAD}content-length: 10\r\n\r\nabc`));
  });
  expect(await startClient().send(post(receiver.url))).toMatchObject({ kind: "failure", error: "CONNECTION" });
});

test("a port where nothing listens is a CONNECTION failure whose words fit a filtered one too", async () => {
  const client = startClient();
  const closedPort = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
  expect(await client.send(post(`http://127.0.0.1:${closedPort}/`))).toMatchObject({
    kind: "failure",
    error: "CONNECTION",
    message: "no connection could be made",
  });
});

test("headers with the names of object members come through as headers", async () => {
  const receiver = await startTcpReceiver((socket) => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
    const headers = names.map((name) => `${name}: a\r\n`).join("");
    socket.once("data", () => socket.write(`HTTP/1.1 204 No Content\r\n${headers}\r\n`));
  });
  const answer = await startClient().send(post(receiver.url));
  expect(answer).toMatchObject({ kind: "response", status: 204 });
  expect(Object.prototype).not.toHaveProperty("a");
});

test("a compressed body is neither asked for nor decompressed", async () => {
  const receiver = await startHttpReceiver((_request, response) => {
    response.setHeader("content-encoding", "gzip");
    response.end(Buffer.from([0x1f, 0x8b, 8, 0, 0]));
  });
  const answer = await startClient().send(post(receiver.url));
  expect(receiver.requests[0]!.headers["accept-encoding"]).toBe("identity");
  if (answer.kind === "response") expect([...answer.body]).toEqual([0x1f, 0x8b, 8, 0, 0]);
  expect(answer.kind).toBe("response");
});

test("whatever bytes a receiver sends, the exchange ends in an answer", async () => {
  let bytes = Buffer.alloc(0);
  const receiver = await startTcpReceiver((socket) => void socket.once("data", () => socket.end(bytes)));
  const client = startClient();
  const pieces = [
    "HTTP/1.1 ",
    "200 OK",
    "103 x",
    "\r\n",
    "\r\n\r\n",
    "content-length: 3",
    "transfer-encoding: chunked",
    "3",
    "abc",
  ];
  const text = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: "binary", maxLength: 8 })), {
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(fc.boolean(), text, async (hasHead, parts) => {
      bytes = Buffer.from((hasHead ? OK_HEAD : "") + parts.join(""), "latin1");
      const answer = await client.send(post(receiver.url));
      if (answer.kind === "response") expect(answer.status).toBeGreaterThanOrEqual(200);
      else expect(["CONNECTION", "PROTOCOL"]).toContain(answer.error);
    }),
    { numRuns: 300 },
  );
});

test("hostile receivers hold up nobody else", async () => {
  const hanging = await startTcpReceiver((socket) => void socket.resume());
  const flooding = await startTcpReceiver((socket) => {
    socket.write(`${OK_HEAD}\r\n`);
    flood(socket, "x".repeat(65_536));
  });
  const healthy = await startHttpReceiver((_request, response) => response.end("ok"));
  const client = startClient();
  const enough = new AbortController();
  let ended = 0;
  const hung = Array.from({ length: 200 }, () =>
    client.send(post(hanging.url, { timeoutMs: 120_000 }), enough.signal).finally(() => {
      ended += 1;
    }),
  );
  const flooded = Array.from({ length: 50 }, () => client.send(post(flooding.url)));
  const served = await Promise.all(Array.from({ length: 50 }, () => client.send(post(healthy.url))));
  expect(served.every((answer) => answer.kind === "response" && answer.status === 200)).toBe(true);
  expect((await Promise.all(flooded)).every((answer) => answer.kind === "response" && answer.truncated)).toBe(true);
  expect(ended).toBe(0);
  enough.abort(new Error("enough"));
  const ends = await Promise.allSettled(hung);
  expect(ends.every((end) => end.status === "rejected" && end.reason.message === "enough")).toBe(true);
});
