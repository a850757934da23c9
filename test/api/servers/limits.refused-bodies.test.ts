import { once } from "node:events";
import { connect } from "node:http2";
import { expect, onTestFinished, test } from "vitest";
import { maxBodyBytes, startLimitedServers } from "./limits-servers.ts";
import { openRawConnection } from "./raw-connection.ts";

const path = "/tellwire.v1.OrganizationService/CreateOrganization";

const size = 3 * 1024 * 1024;

/** Bodies that are refused for their beginning, and are much longer than it. */
const refusedBodies = {
  "a message that is too large": () => envelope(Buffer.alloc(size), 2 ** 24),
  "a message that cannot be read, and more behind it": () =>
    Buffer.concat([
      envelope(Buffer.from([0x3a, 0x3a])),
      ...Array.from({ length: size / maxBodyBytes }, () => envelope(Buffer.alloc(maxBodyBytes))),
    ]),
};
const emptyMessage = envelope(Buffer.alloc(0));

function envelope(message: Buffer, length = message.length): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

test.each(Object.entries(refusedBodies))(
  "what is left of %s does not stand in the way of the next request",
  async (_name, makeBody) => {
    const { httpUrl } = await startLimitedServers();
    const { socket, received } = openRawConnection(httpUrl);
    const head = (length: number, more = "") =>
      `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web+proto\r\n${more}Content-Length: ${length}\r\n\r\n`;
    const body = makeBody();
    socket.write(head(body.length));
    socket.write(body.subarray(0, 1_000));
    // It is refused while most of it is still to come.
    await once(socket, "data");
    socket.write(body.subarray(1_000));
    socket.write(head(emptyMessage.length, "Connection: close\r\n"));
    socket.write(emptyMessage);
    expect((await received).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
  },
);

test.each(Object.entries(refusedBodies))(
  "over HTTP/2 %s leaves the connection to the calls after it",
  async (_name, makeBody) => {
    const { grpcUrl } = await startLimitedServers();
    const session = connect(grpcUrl);
    onTestFinished(() => session.destroy());
    const call = async (body: Buffer): Promise<unknown> => {
      const stream = session.request({
        ":method": "POST",
        ":path": path,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const [answer, trailers] = [once(stream, "response"), once(stream, "trailers")];
      stream.on("error", () => {});
      // Nobody waits for them where the headers say it all.
      trailers.catch(() => {});
      stream.resume();
      stream.end(body);
      const [fields] = await answer;
      const status = (fields as Record<string, unknown>)["grpc-status"];
      return status ?? ((await trailers)[0] as Record<string, unknown>)["grpc-status"];
    };
    // Their bytes together are many times the window of a connection (64 KiB).
    for (let round = 0; round < 5; round++) expect(["3", "8"]).toContain(await call(makeBody()));
    expect(await call(emptyMessage)).toBe("0");
  },
);

test("a refused body that does not end is cut off with its connection", async () => {
  const { httpUrl } = await startLimitedServers();
  const { socket, received } = openRawConnection(httpUrl);
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc-web+proto\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  const body = envelope(Buffer.alloc(size), 2 ** 24);
  socket.write(`${body.length.toString(16)}\r\n${body}\r\n`);
  const chunk = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(2 ** 20), Buffer.from("\r\n")]);
  let sent = 0;
  for (; sent < 64 && !socket.destroyed; sent++) {
    if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), received]);
  }
  expect((await received).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"]);
  expect(sent).toBeLessThan(64);
});

test.each([
  ["a client that goes on sending", true],
  ["a client that sends no more and does not end", false],
])("over HTTP/2 a refused stream is over for %s", async (_name, goesOn) => {
  const { grpcUrl } = await startLimitedServers({ limits: { bodyTimeoutMs: 300 } });
  const session = connect(grpcUrl);
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ":method": "POST",
    ":path": "/tellwire.v1.EventService/PublishEventStream",
    "content-type": "application/grpc",
    te: "trailers",
  });
  const closed = new Promise((resolve) => stream.once("close", resolve));
  const trailers = once(stream, "trailers");
  stream.on("error", () => {});
  stream.resume();
  stream.write(envelope(Buffer.from([0x3a, 0x3a])));
  expect((await trailers)[0]).toMatchObject({ "grpc-status": "3" });
  for (let sent = 0; goesOn && sent < 64 && !stream.closed; sent++) {
    if (!stream.write(Buffer.alloc(2 ** 20)))
      await Promise.race([new Promise((resolve) => stream.once("drain", resolve)), closed]);
  }
  await closed;
});
