import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { decodingMessage } from "../decoding-message.ts";

/**
 * The same response, but for a value that its error repeats. Connect reads the message of a unary call before any interceptor runs, so this error
 * is found in its answer alone: JSON, in one piece.
 */
export async function withoutRepeatedValues(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { status, header, body } = response;
  const isError =
    status === 400 && header?.get("content-type") === "application/json" && !header.has("content-encoding");
  if (!isError || body === undefined) return response;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString("utf8");
  const shown = Buffer.from(rewritten(text));
  header.set("content-length", String(shown.length));
  return { ...response, body: inOnePiece(shown) };
}

function rewritten(text: string): string {
  const error = JSON.parse(text) as { message?: string };
  return error.message === undefined ? text : JSON.stringify({ ...error, message: decodingMessage(error.message) });
}

async function* inOnePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
