import { connect } from "node:net";

export interface RawExchange {
  host: string;
  port: number;
  /** Written one after the other, each when the one before is on its way. */
  pieces: readonly Uint8Array[];
  /** Whether the client ends its side after the last piece, cuts the connection, or leaves it open. */
  ending: "end" | "cut" | "open";
  /** How long nothing has to come from the server before the connection is given up, in milliseconds. */
  quietMs: number;
}

/** Writes bytes on a connection of its own and gives back what came, when the server has ended it or is quiet. Never rejects. */
export function exchangeRaw({ host, port, pieces, ending, quietMs }: RawExchange): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host, port, noDelay: true });
    socket.setTimeout(quietMs, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
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
