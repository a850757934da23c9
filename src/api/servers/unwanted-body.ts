import type { NodeRequest, NodeResponse } from "./node-server.ts";

/**
 * How much of a body is read that nobody wants, so that a client that sends all of it before it listens gets its answer, and its next request the
 * same connection. After that much the connection, or the stream of HTTP/2, is cut.
 */
const maxDiscardedBytes = 16 * 1024 * 1024;

/** Reads and drops a body of which nothing was read. */
export function discardBody(request: NodeRequest): void {
  let discarded = 0;
  request.on("data", (chunk: Buffer) => {
    discarded += chunk.length;
    if (discarded > maxDiscardedBytes) request.destroy();
  });
}

/**
 * What becomes of the rest of a body of which only a part, or nothing, was read: it is read and dropped. Over HTTP/1.1 the next request stands behind it, and Node lets go
 * of a request that is not read to its end without a thought for its connection; it ends what takes too long by itself. Over HTTP/2 a client may
 * keep what it could not send for as long as the connection lasts; what has not ended after `patienceMs` is closed.
 */
export function leaveBody(request: NodeRequest, rest: AsyncIterator<Uint8Array>, patienceMs: number): void {
  const isHttp2 = "stream" in request;
  const cut = isHttp2 ? () => closeStreamAfterAnswer(request) : () => request.destroy();
  if (isHttp2) {
    const timer = setTimeout(cut, patienceMs);
    request.stream.once("close", () => clearTimeout(timer));
  }
  // It is rejected where the client has left.
  discardRest(rest, cut).catch(() => undefined);
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
