import type { UniversalServerResponse } from "@connectrpc/connect/protocol";

/**
 * The same response with its gRPC status message encoded as sparsely as the protocol asks: only what is not printable ASCII, and `%`. Connect
 * encodes punctuation too, and clients of grpc-js show that to people as it stands (`webhook.url%3A must be …`).
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
 */
export function withReadableMessage(response: UniversalServerResponse): UniversalServerResponse {
  const { body, trailer } = response;
  if (trailer === undefined) return response;
  if (body === undefined) {
    rewrite(trailer);
    return response;
  }
  return { ...response, body: rewriteAfter(body, trailer) };
}

const messageHeader = "grpc-message";

/** The status is known when the body is complete. */
async function* rewriteAfter(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncGenerator<Uint8Array> {
  yield* body;
  rewrite(trailer);
}

function rewrite(trailer: Headers): void {
  const message = trailer.get(messageHeader);
  if (message === null) return;
  trailer.set(messageHeader, encodeMessage(decodeURIComponent(message)));
}

/** Percent-encodes the message for the header `grpc-message`. */
export function encodeMessage(message: string): string {
  return message.replace(/[^ -$&-~]+/gu, (text) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}
