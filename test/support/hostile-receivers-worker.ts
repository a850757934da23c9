import { type AddressInfo, createServer, type Socket } from "node:net";
import { parentPort } from "node:worker_threads";

/** What the thread tells: the servers once they listen, and then each connection that comes to one of them. */
export type HostileMessage = { receivers: { misbehaviour: string; url: string }[] } | { connected: string };

const OK_HEAD = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK_HEAD}transfer-encoding: chunked\r\n\r\n`;

/** What each of them does with a connection. */
const misbehaviours: Readonly<Record<string, (socket: Socket) => void>> = {
  "says nothing": (socket) => void socket.resume(),
  "reads nothing": (socket) => void socket.pause(),
  "answers and reads nothing": (socket) => void socket.pause().write(`${OK_HEAD}content-length: 0\r\n\r\n`),
  "drips its head": (socket) => drip(socket, `${OK_HEAD}x-slow: `),
  "drips its body": (socket) => drip(socket, `${OK_HEAD}content-length: 100000\r\n\r\n`),
  "drips chunks": (socket) => drip(socket, `${CHUNKED}186a0\r\n`),
  "sends a body without end": (socket) => flood(socket, `${OK_HEAD}\r\n`, "x".repeat(65_536)),
  "sends chunks of one byte without end": (socket) => flood(socket, CHUNKED, "1\r\nx\r\n".repeat(1_000)),
  "sends a chunk extension without end": (socket) => flood(socket, `${CHUNKED}1;`, "x".repeat(65_536)),
  "sends headers without end": (socket) => flood(socket, OK_HEAD, "x-a: b\r\n".repeat(1_000)),
  "sends one header without end": (socket) => flood(socket, `${OK_HEAD}x-a: `, "x".repeat(65_536)),
  "sends informational responses without end": (socket) =>
    flood(socket, "", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(1_000)),
  "sends trailers without end": (socket) => flood(socket, `${CHUNKED}0\r\n`, "x-a: b\r\n".repeat(1_000)),
  "sends no HTTP": (socket) => void socket.resume().end("220 mail.example ESMTP\r\n"),
  "sends a length and chunks": (socket) =>
    answer(socket, `${OK_HEAD}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
  "sends a length below zero": (socket) => answer(socket, `${OK_HEAD}content-length: -1\r\n\r\n`),
  "switches protocols": (socket) =>
    answer(socket, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
  "sends a second response": (socket) => answer(socket, `${OK_HEAD}content-length: 0\r\n\r\n`.repeat(2)),
  "closes at once": (socket) => void socket.end(),
  "resets at once": (socket) => void socket.resetAndDestroy(),
  "resets inside the body": (socket) =>
    void socket.once("data", () =>
      socket.write(`${OK_HEAD}content-length: 10\r\n\r\nabc`, () => socket.resetAndDestroy()),
    ),
  "never ends a TLS handshake": (socket) => void socket.resume(),
};

const receivers = await Promise.all(Object.entries(misbehaviours).map(([name, act]) => start(name, act)));
tell({ receivers });

async function start(misbehaviour: string, act: (socket: Socket) => void) {
  const server = createServer((socket) => {
    tell({ connected: misbehaviour });
    socket.on("error", () => {});
    act(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { misbehaviour, url: `${misbehaviour.includes("TLS") ? "https" : "http"}://127.0.0.1:${port}/hook` };
}

function tell(message: HostileMessage): void {
  parentPort?.postMessage(message);
}

/** Answers each request with the same bytes. */
function answer(socket: Socket, text: string): void {
  socket.on("data", () => void socket.write(text));
}

/** Writes as fast as the other side reads, until it goes. */
function flood(socket: Socket, start: string, chunk: string): void {
  const write = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.once("data", () => {
    socket.write(start);
    socket.on("drain", write);
    write();
  });
}

/** Writes a byte every few milliseconds, until the other side goes. */
function drip(socket: Socket, start: string): void {
  socket.write(start);
  const timer = setInterval(() => socket.write("x"), 20);
  socket.on("close", () => clearInterval(timer)).resume();
}
