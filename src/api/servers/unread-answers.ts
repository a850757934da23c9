import type { ServerResponse } from "node:http";
import { constants } from "node:http2";
import type { NodeRequest, NodeResponse } from "./node-server.ts";

/**
 * Cuts an answer of which the client takes nothing for that long, although something waits for it: over HTTP/1.1 with its connection, over HTTP/2
 * its stream alone. An answer that is not made yet, or a stream in which nothing happens, may take as long as it likes.
 */
export function cutUnreadAnswer(request: NodeRequest, response: NodeResponse, timeoutMs: number): void {
  // Of an inactivity in both directions; each sign of life winds the timer up again.
  if ("stream" in request) {
    const { stream } = request;
    stream.setTimeout(timeoutMs, () => {
      if (stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL);
    });
  } else {
    const { socket } = request;
    (response as ServerResponse).setTimeout(timeoutMs, () => {
      if (socket.writableLength > 0) socket.destroy();
    });
  }
}
