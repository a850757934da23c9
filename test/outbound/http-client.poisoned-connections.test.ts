import { expect, test } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { post, startClient, startHttpReceiver, startTcpReceiver } from "./receiver.ts";

const OWN = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nown";
const POISON = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";

/** What comes after a complete response on a connection belongs to no request. */
test.each([
  ["a second response", POISON],
  ["the head of a second response", "HTTP/1.1 200 OK\r\nx-"],
  ["an informational response", "HTTP/1.1 103 Early Hints\r\n\r\n"],
  ["bytes that are no HTTP", "poison"],
  ["one byte", "H"],
])("%s behind a response is not the answer to the next request: the connection is closed", async (_what, trailing) => {
  const receiver = await startTcpReceiver((socket, index) => {
    socket.on("data", () => socket.write(index === 0 ? OWN + trailing : OWN));
  });
  const client = startClient();
  for (let i = 0; i < 3; i += 1) {
    const answer = await client.send(post(receiver.url));
    expect(answer).toMatchObject({ kind: "response", status: 200 });
    if (answer.kind === "response") expect(answer.body.toString()).toBe("own");
  }
  expect(receiver.sockets.length).toBe(2);
});

test("a response that comes while a connection waits is thrown away with the connection", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.on("data", () => socket.write(OWN)));
  const client = startClient();
  await client.send(post(receiver.url));
  receiver.sockets[0]!.write(POISON);
  await waitFor(() => receiver.sockets[0]!.destroyed, { what: "the connection's end" });
  const answer = await client.send(post(receiver.url));
  if (answer.kind === "response") expect(answer.body.toString()).toBe("own");
  expect(answer.kind).toBe("response");
  expect(receiver.sockets).toHaveLength(2);
});

test.each([
  ["204 with a length and a body", "HTTP/1.1 204 No Content\r\ncontent-length: 6\r\n\r\npoison"],
  ["204 with chunks", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"],
  ["304 with a body", "HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\npoison"],
  ["204 whose body is a response", `HTTP/1.1 204 No Content\r\ncontent-length: ${POISON.length}\r\n\r\n${POISON}`],
])("the body of a %s reaches no other request", async (_what, first) => {
  const receiver = await startTcpReceiver((socket, index) => {
    socket.on("data", () => socket.write(index === 0 ? first : OWN));
  });
  const client = startClient();
  await client.send(post(receiver.url));
  const answer = await client.send(post(receiver.url));
  if (answer.kind === "response") expect(answer.body.toString()).toBe("own");
  expect(answer.kind).toBe("response");
  expect(receiver.sockets).toHaveLength(2);
});

test("a receiver that answers without taking the request gets no second one behind it", async () => {
  const receiver = await startTcpReceiver((socket) => void socket.pause().write(OWN));
  const client = startClient();
  // More than the buffers of both sockets take.
  const body = Buffer.alloc(8 * 1024 * 1024, "x");
  for (let i = 1; i <= 3; i += 1) {
    expect(await client.send({ ...post(receiver.url), body })).toMatchObject({ kind: "response", status: 200 });
    expect(receiver.sockets).toHaveLength(i);
  }
});

test("a connection is given up after its time, so that names are looked up anew however busy it is", async () => {
  const receiver = await startHttpReceiver((_request, response) => response.writeHead(204).end());
  const names: string[] = [];
  const resolve = (name: string, callback: (error: null, addresses: { address: string; family: number }[]) => void) => {
    names.push(name);
    callback(null, [{ address: names.length === 1 ? "127.0.0.1" : "127.0.0.2", family: 4 }]);
  };
  const client = startClient({ guard: { allow: ["127.0.0.1"], resolve }, maxConnectionAgeMs: 2_000 });
  const url = `http://moving.example:${receiver.port}/`;
  let served = 0;
  const refused = await waitFor(
    async () => {
      const answer = await client.send(post(url));
      if (answer.kind === "failure") return answer;
      served += 1;
      return undefined;
    },
    { what: "the name's new address" },
  );
  expect(refused).toMatchObject({ error: "ADDRESS_REFUSED" });
  expect(served).toBeGreaterThan(1);
  expect(receiver.sockets).toHaveLength(1);
  expect(names).toHaveLength(2);
});
