import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamFromJson,
  endStreamToJson,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { refusalError } from "./refusal.ts";

/**
 * The same response, where it says that the bytes of the request are no message of its type, as the fault of whoever sent them:
 * INVALID_ARGUMENT with the reason MALFORMED_REQUEST. Connect answers that with INTERNAL, as if the server had failed.
 */
export function blameSender(response: UniversalServerResponse): UniversalServerResponse {
  const { body, trailer } = response;
  if (trailer !== undefined) {
    if (body === undefined) blameInTrailer(trailer);
    return body === undefined ? response : { ...response, body: blameAfter(body, trailer) };
  }
  if (body === undefined) return response;
  const type = new Headers(response.header).get("content-type") ?? "";
  if (/^application\/grpc-web/i.test(type)) {
    return { ...response, body: blameInLastEnvelope(body, trailerFlag, blameInWebTrailer) };
  }
  if (/^application\/connect\+/i.test(type)) {
    return { ...response, body: blameInLastEnvelope(body, endStreamFlag, blameInEndOfStream) };
  }
  return response;
}

/** The same for a unary call of Connect, whose whole answer is the error. */
export async function blameSenderOfUnary(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  if (response.status !== 500 || response.trailer !== undefined || response.body === undefined) return response;
  const bytes = Buffer.concat(await Array.fromAsync(response.body));
  const unread = { ...response, body: once(bytes) };
  if (!/^application\/json/.test(new Headers(response.header).get("content-type") ?? "")) return unread;
  const problem = problemOf(errorFromJsonBytes(bytes, undefined, new ConnectError("", Code.Unknown)));
  if (problem === undefined) return unread;
  const body = errorToJsonBytes(malformed(problem), undefined);
  const header = new Headers(response.header);
  header.set("content-length", `${body.length}`);
  return { ...response, status: codeToHttpStatus(Code.InvalidArgument), header, body: once(body) };
}

const prefix = "parse binary: ";

function problemOf({ code, rawMessage }: Pick<ConnectError, "code" | "rawMessage">): string | undefined {
  return code === Code.Internal && rawMessage.startsWith(prefix) ? rawMessage.slice(prefix.length) : undefined;
}

function malformed(problem: string): ConnectError {
  return refusalError({ reason: "MALFORMED_REQUEST", message: `the message cannot be read: ${problem}` });
}

/** The status is known when the body is complete. */
async function* blameAfter(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncGenerator<Uint8Array> {
  yield* body;
  blameInTrailer(trailer);
}

/** Whether there was something to change. */
function blameInTrailer(trailer: Headers): boolean {
  const rawMessage = decodeURIComponent(trailer.get("grpc-message") ?? "");
  const problem = problemOf({ code: Number(trailer.get("grpc-status")), rawMessage });
  if (problem !== undefined) setTrailerStatus(trailer, malformed(problem));
  return problem !== undefined;
}

function blameInWebTrailer(bytes: Uint8Array): Uint8Array | undefined {
  const trailer = trailerParse(bytes);
  return blameInTrailer(trailer) ? trailerSerialize(trailer) : undefined;
}

function blameInEndOfStream(bytes: Uint8Array): Uint8Array | undefined {
  const { error, metadata } = endStreamFromJson(bytes);
  const problem = error && problemOf(error);
  return problem === undefined
    ? undefined
    : Buffer.from(JSON.stringify(endStreamToJson(metadata, malformed(problem), undefined)));
}

/** Connect writes each envelope as a piece of its own: a byte of flags, four bytes with the length, the content. */
async function* blameInLastEnvelope(
  body: AsyncIterable<Uint8Array>,
  lastFlag: number,
  change: (content: Uint8Array) => Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    const changed = piece[0] === lastFlag ? change(piece.subarray(prefixBytes)) : undefined;
    yield changed === undefined ? piece : enveloped(lastFlag, changed);
  }
}

const prefixBytes = 5;

function enveloped(flags: number, content: Uint8Array): Uint8Array {
  const head = Buffer.alloc(prefixBytes);
  head.writeUInt8(flags);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
