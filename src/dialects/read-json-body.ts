import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { DialectFailureError } from "./dialect.ts";
import { findUnstorableValue } from "./unstorable-value.ts";

/**
 * Reads a JSON body; undefined where there is none. Throws a DialectFailureError for one that is too large, not JSON, or encoded, and for
 * one with a value that cannot be stored.
 */
export async function readJsonBody(
  request: IncomingMessage | Http2ServerRequest,
  maxBytes: number,
): Promise<{ bytes: Buffer; value: unknown }> {
  const bytes = await readBytes(request, maxBytes);
  if (bytes.length === 0) {
    return { bytes, value: undefined };
  }
  const contentType = String(request.headers["content-type"] ?? "application/json");
  if (!/^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i.test(contentType) || request.headers["content-encoding"]) {
    throw new DialectFailureError({
      kind: "unsupported media type",
      contentType: [contentType, request.headers["content-encoding"] ?? ""].join(" ").trim(),
    });
  }
  const value = parseJson(bytes);
  const unstorable = findUnstorableValue(value);
  if (unstorable !== undefined) {
    throw new DialectFailureError({ kind: "invalid", violations: [unstorable] });
  }
  return { bytes, value };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown;
  } catch (error) {
    const message = error instanceof Error ? error.message : "not UTF-8";
    throw new DialectFailureError({ kind: "malformed JSON", message });
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

async function readBytes(request: IncomingMessage | Http2ServerRequest, maxBytes: number): Promise<Buffer> {
  const tooLarge = new DialectFailureError({ kind: "too large", maxBytes });
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
    throw tooLarge;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) {
      throw tooLarge;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
