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
import { decodingMessage } from "../decoding-message.ts";
import { compressions } from "./compressions.ts";
import { refusalError } from "./refusal.ts";

/**
 * The same response, but for what Connect says by itself of a message that it cannot read, which it does before any interceptor runs: bytes that
 * are no message are the fault of whoever sent them (INVALID_ARGUMENT, MALFORMED_REQUEST; Connect says INTERNAL), and no error repeats a value of
 * the request.
 */
export function blameSender(response: UniversalServerResponse): UniversalServerResponse {
  const { body, trailer } = response;
  if (trailer !== undefined) {
    if (body === undefined) blameInTrailer(trailer);
    return body === undefined ? response : { ...response, body: blameAfter(body, trailer) };
  }
  if (body === undefined) return response;
  const header = new Headers(response.header);
  const type = header.get("content-type") ?? "";
  if (/^application\/grpc-web/i.test(type)) {
    const last = { flag: trailerFlag, encoding: header.get("grpc-encoding"), change: blameInWebTrailer };
    return { ...response, body: blameInLastEnvelope(body, last) };
  }
  if (/^application\/connect\+/i.test(type)) {
    const last = { flag: endStreamFlag, encoding: header.get("connect-content-encoding"), change: blameInEndOfStream };
    return { ...response, body: blameInLastEnvelope(body, last) };
  }
  return response;
}

/** The same for a unary call of Connect, whose whole answer is the error. */
export async function blameSenderOfUnary(response: UniversalServerResponse): Promise<UniversalServerResponse> {
  const { status, trailer, body } = response;
  if ((status !== 400 && status !== 500) || trailer !== undefined || body === undefined) return response;
  const header = new Headers(response.header);
  if (!/^application\/json/.test(header.get("content-type") ?? "")) return response;
  const bytes = Buffer.concat(await Array.fromAsync(body));
  const text = await decompressed(bytes, header.get("content-encoding"));
  const error = blamed(errorFromJsonBytes(text, undefined, new ConnectError("", Code.Unknown)));
  if (error === undefined) return { ...response, body: once(bytes) };
  const shown = errorToJsonBytes(error, undefined);
  header.delete("content-encoding");
  header.set("content-length", `${shown.length}`);
  return { ...response, status: codeToHttpStatus(error.code), header, body: once(shown) };
}

/** The error in place of one that Connect made of a message; undefined where there is nothing to change. */
function blamed({ code, rawMessage }: Pick<ConnectError, "code" | "rawMessage">): ConnectError | undefined {
  if (code === Code.Internal && rawMessage.startsWith(noMessage)) {
    const message = `the message cannot be read: ${rawMessage.slice(noMessage.length)}`;
    return refusalError({ reason: "MALFORMED_REQUEST", message });
  }
  const shown = decodingMessage(rawMessage);
  return shown === rawMessage ? undefined : new ConnectError(shown, code);
}

const noMessage = "parse binary: ";

/** An error is compressed like any other answer where it is long. */
async function decompressed(bytes: Uint8Array, encoding: string | null): Promise<Uint8Array> {
  const compression = compressions.find(({ name }) => name === encoding);
  return compression === undefined ? bytes : await compression.decompress(bytes, maxMessageBytes);
}

/** What gRPC can say of a length; the error is our own. */
const maxMessageBytes = 0xffffffff;

/** The status is known when the body is complete. */
async function* blameAfter(body: AsyncIterable<Uint8Array>, trailer: Headers): AsyncGenerator<Uint8Array> {
  yield* body;
  blameInTrailer(trailer);
}

/** Whether there was something to change. */
function blameInTrailer(trailer: Headers): boolean {
  const rawMessage = decodeURIComponent(trailer.get("grpc-message") ?? "");
  const error = blamed({ code: Number(trailer.get("grpc-status")), rawMessage });
  if (error !== undefined) setTrailerStatus(trailer, error);
  return error !== undefined;
}

function blameInWebTrailer(bytes: Uint8Array): Uint8Array | undefined {
  const trailer = trailerParse(bytes);
  return blameInTrailer(trailer) ? trailerSerialize(trailer) : undefined;
}

function blameInEndOfStream(bytes: Uint8Array): Uint8Array | undefined {
  const { error, metadata } = endStreamFromJson(bytes);
  const shown = error && blamed(error);
  return shown && Buffer.from(JSON.stringify(endStreamToJson(metadata, shown, undefined)));
}

interface LastEnvelope {
  flag: number;
  /** How envelopes are compressed that say so. */
  encoding: string | null;
  /** Undefined: there is nothing to change. */
  change: (content: Uint8Array) => Uint8Array | undefined;
}

/** Connect writes each envelope as a piece of its own: a byte of flags, four bytes with the length, the content. */
async function* blameInLastEnvelope(
  body: AsyncIterable<Uint8Array>,
  { flag, encoding, change }: LastEnvelope,
): AsyncGenerator<Uint8Array> {
  for await (const piece of body) {
    const flags = piece[0] ?? 0;
    if ((flags & ~compressedFlag) !== flag) {
      yield piece;
      continue;
    }
    const content = piece.subarray(prefixBytes);
    const changed = change(flags === flag ? content : await decompressed(content, encoding));
    yield changed === undefined ? piece : enveloped(flag, changed);
  }
}

const prefixBytes = 5;
const compressedFlag = 1;

function enveloped(flags: number, content: Uint8Array): Uint8Array {
  const head = Buffer.alloc(prefixBytes);
  head.writeUInt8(flags);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
