import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startTcpProxy, type TcpProxy } from "../../chaos/tcp-proxy.ts";
import { waitFor } from "../support/wait-for.ts";

let echo: Server;
let proxy: TcpProxy;

beforeEach(async () => {
  echo = createServer((socket) => void socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  proxy = await startTcpProxy((echo.address() as AddressInfo).port);
});

afterEach(async () => {
  await proxy.close();
  await new Promise((resolve) => echo.close(resolve));
});

test("what is sent comes back unchanged, with and without a delay", async () => {
  const client = await open();
  const sent = Buffer.from(Array.from({ length: 500_000 }, (_, index) => index % 251));
  client.socket.write(sent.subarray(0, 100_000));
  proxy.delay(20);
  client.socket.write(sent.subarray(100_000, 300_000));
  await waitFor(() => client.received().length >= 200_000);
  proxy.delay(0);
  client.socket.write(sent.subarray(300_000));
  await waitFor(() => client.received().length === sent.length);
  expect(client.received().equals(sent)).toBe(true);
});

test("a cut ends every connection, and a new one works", async () => {
  const before = await open();
  await passes(before, "first");
  proxy.cut();
  await waitFor(() => before.socket.destroyed, { what: "the end of the connection" });
  const after = await open();
  after.socket.write("again");
  await waitFor(() => after.received().toString() === "again");
});

test("what is sent during a stall arrives when it is over", async () => {
  const client = await open();
  proxy.stall();
  client.socket.write("late");
  const other = await open();
  other.socket.write("late too");
  // Something that passes by another way in the meantime.
  const direct = connect((echo.address() as AddressInfo).port, "127.0.0.1");
  direct.write("direct");
  await new Promise((resolve) => direct.once("data", resolve));
  direct.destroy();
  expect(client.received()).toHaveLength(0);
  expect(other.received()).toHaveLength(0);
  proxy.resume();
  await waitFor(() => client.received().toString() === "late" && other.received().toString() === "late too");
});

test("lost connections are silent while new ones work, and end when they are told to", async () => {
  const lost = await open();
  await passes(lost, "first");
  const endThem = proxy.lose();
  lost.socket.write("into the void");
  const fresh = await open();
  fresh.socket.write("works");
  await waitFor(() => fresh.received().toString() === "works");
  proxy.resume();
  expect(lost.received().toString()).toBe("first");
  endThem();
  await waitFor(() => lost.socket.destroyed, { what: "the end of the lost connection" });
  expect(fresh.socket.destroyed).toBe(false);
});

interface Connection {
  socket: Socket;
  received: () => Buffer;
}

/** The proxy has the connection from then on: it may take it some time after the client is told that it is connected. */
async function passes({ socket, received }: Connection, text: string): Promise<void> {
  socket.write(text);
  await waitFor(() => received().toString() === text);
}

async function open(): Promise<Connection> {
  const socket = connect(proxy.port, "127.0.0.1");
  const pieces: Buffer[] = [];
  socket.on("data", (piece) => void pieces.push(piece));
  socket.on("error", () => {});
  socket.on("close", () => socket.destroy());
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return { socket, received: () => Buffer.concat(pieces) };
}
