import { expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { post, startClient, startHttpReceiver, startTcpReceiver } from "./receiver.ts";

const NO_CONTENT = "HTTP/1.1 204 No Content\r\n\r\n";

test("one connection serves requests that follow each other", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.writeHead(204).end());
  const client = startClient();
  for (let i = 0; i < 20; i += 1) {
    expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 204 });
  }
  expect(receiver.sockets).toHaveLength(1);
});

test("a connection that the receiver announces to close is not used again", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.setHeader("connection", "close").end());
  const client = startClient();
  for (let i = 0; i < 5; i += 1) {
    expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 200 });
  }
  expect(receiver.sockets).toHaveLength(5);
});

test("a used connection that breaks before the response gets the request once more, on a new connection", async () => {
  let requests = 0;
  const receiver = await startTcpReceiver((socket, index) => {
    let served = 0;
    socket.on("data", () => {
      requests += 1;
      served += 1;
      // The first connection is gone when it is used again.
      if (index === 0 && served === 2) socket.resetAndDestroy();
      else socket.write(NO_CONTENT);
    });
  });
  const client = startClient();
  expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 204 });
  expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 204 });
  expect(requests).toBe(3);
  expect(receiver.sockets).toHaveLength(2);
});

test("the request is sent once more only once", async () => {
  let isBroken = false;
  const receiver = await startTcpReceiver((socket) => {
    socket.on("data", () => (isBroken ? socket.resetAndDestroy() : socket.write(NO_CONTENT)));
  });
  const client = startClient();
  await Promise.all(Array.from({ length: 5 }, () => client.send(post(receiver.url))));
  isBroken = true;
  const before = receiver.sockets.length;
  expect(await client.send(post(receiver.url))).toMatchObject({ kind: "failure", error: "CONNECTION" });
  expect(receiver.sockets.length - before).toBe(1);
});

test("a used connection that breaks after the response began is a failure", async () => {
  const receiver = await startTcpReceiver((socket) => {
    let served = 0;
    socket.on("data", () => {
      served += 1;
      if (served === 1) socket.write(NO_CONTENT);
      else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", () => socket.resetAndDestroy());
    });
  });
  const client = startClient();
  await client.send(post(receiver.url));
  expect(await client.send(post(receiver.url))).toMatchObject({ kind: "failure", error: "CONNECTION" });
  expect(receiver.sockets).toHaveLength(1);
});

test("a connection that the receiver closed while it waited is noticed, and replaced", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.on("data", () => socket.write(NO_CONTENT)));
  const client = startClient();
  await client.send(post(receiver.url));
  receiver.sockets[0]!.end();
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
  expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 204 });
  expect(receiver.sockets).toHaveLength(2);
});

test("bytes that no request asked for do not become the next request's response", async () => {
  const receiver = await startTcpReceiver((socket, index) => {
    socket.on("data", () => socket.write(index === 0 ? `${NO_CONTENT}HTTP/1.1 410 Gone\r\n\r\n` : NO_CONTENT));
  });
  const client = startClient();
  for (let i = 0; i < 3; i += 1) {
    expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 204 });
  }
});

test("connections that wait are bounded by origin and in all", async () => {
  const receivers = await Promise.all(
    Array.from({ length: 3 }, () => startHttpReceiver((_request, response) => response.end("ok"))),
  );
  const client = startClient({ maxIdlePerOrigin: 4, maxIdle: 6, idleTimeoutMs: 300_000 });
  await Promise.all(receivers.flatMap(({ url }) => Array.from({ length: 10 }, () => client.send(post(url)))));
  expect(receivers.map(({ sockets }) => sockets.length)).toEqual([10, 10, 10]);
  const open = () => receivers.map(({ sockets }) => sockets.filter((socket) => !socket.destroyed).length);
  await waitFor(() => open().reduce((sum, count) => sum + count) <= 6, { what: "the end of the other connections" });
  expect(open().reduce((sum, count) => sum + count)).toBe(6);
  expect(Math.max(...open())).toBeLessThanOrEqual(4);
});

test("a connection that waits is closed after a time", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end("ok"));
  const client = startClient({ idleTimeoutMs: 300 });
  expect(await client.send(post(receiver.url))).toMatchObject({ kind: "response", status: 200 });
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the idle time's end" });
});

test("closing the client waits for the requests under way, and then takes no more", async () => {
  const release = Promise.withResolvers<void>();
  const receiver = await startHttpReceiver(
    (_request, response) => void release.promise.then(() => response.end("late")),
  );
  const client = startClient();
  const underWay = client.send(post(receiver.url));
  await waitFor(() => receiver.requests.length === 1, { what: "the request" });
  let isClosed = false;
  const closing = client.close().then(() => {
    isClosed = true;
  });
  await expect(client.send(post(receiver.url))).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
  expect(isClosed).toBe(false);
  release.resolve();
  expect(await underWay).toMatchObject({ kind: "response", status: 200 });
  await closing;
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
});

test("a request that our own code fails on is over, so that closing waits for no more", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.end("ok"));
  const client = startClient();
  const broken = {
    ...post(receiver.url),
    timeoutMs: 3_600_000,
    get headers(): Record<string, string> {
      throw new Error("our own failure");
    },
  };
  await expect(client.send(broken)).rejects.toThrow("our own failure");
  await client.close();
  expect(receiver.requests).toEqual([]);
});

test("a signal ends a request, at once and with its reason", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.resume());
  const client = startClient();
  const controller = new AbortController();
  const underWay = client.send(post(receiver.url), controller.signal);
  await waitFor(() => receiver.sockets.length === 1, { what: "the connection" });
  controller.abort(new Error("handed over"));
  await expect(underWay).rejects.toThrow("handed over");
  await expect(client.send(post(receiver.url), controller.signal)).rejects.toThrow("handed over");
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
  expect(receiver.sockets).toHaveLength(1);
});

test("the request's bytes are the caller's, with the client's own headers", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.setHeader("x-a", ["1", "2"]).end("body"));
  const body = Buffer.from('{"a":"\u00e4"}');
  const request = {
    ...post(`${receiver.url}?a=%20b&c`),
    headers: { "content-type": "application/json", "x-own": "v" },
    body,
  };
  const answer = await startClient().send(request);
  expect(answer).toMatchObject({ kind: "response", status: 200, headers: { "x-a": ["1", "2"] }, truncated: false });
  if (answer.kind === "response") expect(answer.body.toString()).toBe("body");
  expect(receiver.requests).toEqual([
    {
      method: "POST",
      url: "/hook?a=%20b&c",
      headers: {
        host: `127.0.0.1:${receiver.port}`,
        connection: "keep-alive",
        "user-agent": "Tellwire/test",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": String(body.length),
        "x-own": "v",
      },
      body,
    },
  ]);
});

test("headers that HTTP does not allow fail the request, and not the process", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.resume());
  const answer = await startClient().send({ ...post(receiver.url), headers: { "x-a": "b\r\nx-c: d" } });
  expect(answer).toMatchObject({ kind: "failure", error: "PROTOCOL" });
});
