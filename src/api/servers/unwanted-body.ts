import type { NodeRequest, NodeResponse } from "./node-server.ts";

/**
 * How much of a body is read that nobody wants, so that a client that sends all of it before it listens gets its answer, and its next request the
 * same connection. After that much the connection, or the stream of HTTP/2, is cut.
 */
const maxDiscardedBytes = 16 * 1024 * 1024;

/** Reads and drops a body of which nothing was read, of a request that is answered now. */
export function discardBody(request: NodeRequest): void {
  let discarded = 0;
  request.on("data", (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded <= maxDiscardedBytes) return;
    if ("stream" in request) request.stream.close();
    else request.destroy();
  });
}

/**
 * What becomes of the rest of a body of which only a part, or nothing, was read: it is read and dropped. Over HTTP/1.1 the next request stands
 * behind it, and Node lets go of a request that is not read to its end without a thought for its connection.
 */
export function leaveBody(request: NodeRequest, rest: AsyncIterator<Uint8Array>): void {
  const cut = "stream" in request ? () => closeStreamAfterAnswer(request) : () => request.destroy();
  // It is rejected where the client has left.
  discardRest(rest, cut).catch(() => undefined);
}

/**
 * Has the HTTP/2 stream of a request end after its answer, whoever answers it. Node closes a stream at once that nobody has begun to read, but for
 * one whose answer is headers alone (gRPC's "Trailers-Only"); with others it waits for the client for as long as the connection lasts. Of these the
 * rest is read and dropped, and what has not ended after `patienceMs` is closed. Over HTTP/1.1 Node looks after all of it by itself.
 */
export function endAfterAnswer(request: NodeRequest, patienceMs: number): void {
  if (!("stream" in request) || request.stream.endAfterHeaders) return;
  const { stream } = request;
  const end = (): void => {
    if (request.complete || stream.closed) return;
    if (request.readableFlowing === null) discardBody(request);
    const timer = setTimeout(() => stream.close(), patienceMs);
    stream.once("close", () => clearTimeout(timer));
  };
  // Node decides in a listener that comes after this one, and closes in the next turn of the loop.
  stream.once("finish", () => setImmediate(() => setImmediate(end)));
}

/** Takes no more of a request after its answer, whose headers are not sent yet: its connection closes, or over HTTP/2 its stream. */
export function closeAfterAnswer(request: NodeRequest, response: NodeResponse): void {
  if ("stream" in request) closeStreamAfterAnswer(request);
  else if (!response.headersSent) response.setHeader("connection", "close");
}

async function discardRest(rest: AsyncIterator<Uint8Array>, cut: () => void): Promise<void> {
  for (let discarded = 0; discarded <= maxDiscardedBytes; ) {
    const read = await rest.next();
    if (read.done) return;
    discarded += read.value.length;
  }
  cut();
}

/** RFC 9113, section 8.1: NO_ERROR after a complete answer asks the client to stop sending. The trailers complete it, if only as its end. */
function closeStreamAfterAnswer({ stream }: Extract<NodeRequest, { stream: unknown }>): void {
  const close = () => setImmediate(() => stream.close());
  if (stream.sentTrailers === undefined) stream.once("wantTrailers", close);
  else close();
}
