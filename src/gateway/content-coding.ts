import { promisify } from "node:util";
import zlib from "node:zlib";
import { GatewayError } from "./gateway-error.ts";
import { readQuality } from "./media-type.ts";

/**
 * Undoes the Content-Encoding of a request body: gzip, br or none.
 *
 * @throws {GatewayError} UNSUPPORTED_ENCODING for another one, BODY_TOO_LARGE as soon as more than `maxBytes` come out (the rest is not
 * decompressed), MALFORMED_BODY where the bytes are not what the header says.
 */
export async function decodeContent(
  coding: string | undefined,
  bytes: Uint8Array,
  maxBytes: number,
): Promise<Uint8Array> {
  const name = coding?.trim().toLowerCase() ?? "";
  if (name === "" || name === "identity") return bytes;
  const decode = decoders.get(name);
  if (decode === undefined) {
    const message = `the Content-Encoding ${JSON.stringify(coding)} is not known: send gzip, br or none`;
    throw new GatewayError("UNSUPPORTED_ENCODING", message, { headers: { "accept-encoding": "gzip, br" } });
  }
  if (bytes.length === 0) return bytes;
  try {
    return await decode(bytes, { maxOutputLength: maxBytes });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") {
      throw new GatewayError("BODY_TOO_LARGE", `the request body is larger than ${maxBytes} bytes, decompressed`, {
        cause,
      });
    }
    throw new GatewayError("MALFORMED_BODY", `the request body is not ${name}, as its Content-Encoding says`, {
      cause,
    });
  }
}

/** The coding for an answer that the client wants most by its Accept-Encoding, of gzip and br; undefined: none. */
export function chooseCoding(acceptEncoding: string | undefined): "gzip" | "br" | undefined {
  if (acceptEncoding === undefined) return undefined;
  const qualities = new Map<string, number>();
  for (const part of acceptEncoding.split(",")) {
    const [name = "", ...parameters] = part.split(";").map((each) => each.trim().toLowerCase());
    qualities.set(name, readQuality(parameters));
  }
  const any = qualities.get("*") ?? 0;
  const [gzip, br] = [qualities.get("gzip") ?? any, qualities.get("br") ?? any];
  if (gzip === 0 && br === 0) return undefined;
  // Where both are as welcome, gzip: it is cheaper to make on the fly.
  return br > gzip ? "br" : "gzip";
}

/** Compresses the body of an answer. */
export async function encodeContent(coding: "gzip" | "br", bytes: Uint8Array): Promise<Uint8Array> {
  if (coding === "gzip") return await gzip(bytes);
  // The default, 11, is for files that are compressed once: some 50 times slower.
  return await brotliCompress(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } });
}

const gunzip = promisify<zlib.InputType, zlib.ZlibOptions, Uint8Array>(zlib.gunzip);
const brotliDecompress = promisify<zlib.InputType, zlib.BrotliOptions, Uint8Array>(zlib.brotliDecompress);
const gzip = promisify<zlib.InputType, Uint8Array>(zlib.gzip);
const brotliCompress = promisify<zlib.InputType, zlib.BrotliOptions, Uint8Array>(zlib.brotliCompress);

type Decoder = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Uint8Array>;

const decoders: ReadonlyMap<string, Decoder> = new Map([
  ["gzip", gunzip],
  // An old name of gzip, which recipients take for it (RFC 9110, 8.4.1.3).
  ["x-gzip", gunzip],
  ["br", brotliDecompress],
]);
