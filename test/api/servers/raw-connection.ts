import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { onTestFinished } from "vitest";

/** A connection on which a test writes bytes of its own. */
export interface RawConnection {
  socket: Socket;
  /** All that came back, when the connection is over, whichever way it ended. */
  received: Promise<string>;
}

/** Connects to the host and port of a URL, over TLS where it says so, trusting whatever certificate there is. Closed when the test ends. */
export function openRawConnection(url: string, alpn = "http/1.1"): RawConnection {
  const { hostname: host, port, protocol } = new URL(url);
  const socket =
    protocol === "https:"
      ? connectTls({ host, port: Number(port), rejectUnauthorized: false, ALPNProtocols: [alpn] })
      : connect(Number(port), host);
  onTestFinished(() => void socket.destroy());
  const { promise: received, resolve } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  socket
    .on("data", (chunk: Buffer) => chunks.push(chunk))
    // A connection that is cut is an end like another one.
    .on("error", () => undefined)
    .on("close", () => resolve(Buffer.concat(chunks).toString()));
  return { socket, received };
}

/** Divides an answer of HTTP/1.1 whose body is not chunked. */
export function parseRawAnswer(answer: string): { status: number; head: string; body: string } {
  const end = answer.indexOf("\r\n\r\n");
  const head = answer.slice(0, end);
  return { status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]), head, body: answer.slice(end + 4) };
}
