import { connect } from "node:net";

export interface RawExchange {
  host: string;
  port: number;
  /** Written one after the other, each when the one before is on its way. */
  pieces: readonly Uint8Array[];
  /** Whether the client ends its side after the last piece, cuts the connection, or leaves it open. */
  ending: "end" | "cut" | "open";
  /** How long the server gets to its first byte, in milliseconds. Some requests are not complete, and nothing comes. */
  firstByteMs: number;
}

/** After its first byte a server is done when nothing has come for that long. */
const quietMs = 40;

/** Writes bytes on a connection of its own and gives back what came, when the server has ended it or is quiet. Never rejects. */
export function exchangeRaw({ host, port, pieces, ending, firstByteMs }: RawExchange): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host, port, noDelay: true });
    socket.setTimeout(firstByteMs, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      socket.setTimeout(quietMs);
    });
    socket.on("error", () => {});
    socket.once("close", () => resolve(Buffer.concat(chunks)));
    socket.once("connect", () => writeAll(0));

    function writeAll(index: number): void {
      const piece = pieces[index];
      if (piece !== undefined) {
        socket.write(piece, () => setImmediate(writeAll, index + 1));
      } else if (ending === "end") {
        socket.end();
      } else if (ending === "cut") {
        socket.resetAndDestroy();
      }
    }
  });
}
