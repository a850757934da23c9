import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { inexactNumberProblem } from "../domain/inexact-number.ts";
import { messageWithoutValues } from "../domain/message-without-values.ts";
import { DialectFailureError } from "./dialect.ts";
import { type BodyLimits, readBodyBytes } from "./read-body-bytes.ts";
import { findUnstorableValue } from "./unstorable-value.ts";

/**
 * Reads a JSON body; undefined where there is none. Throws a DialectFailureError for one that is too large or too slow, not JSON, or encoded,
 * and for one with a value that cannot be stored or kept as it is.
 */
export async function readJsonBody(
  request: IncomingMessage | Http2ServerRequest,
  limits: BodyLimits,
): Promise<{ bytes: Buffer; value: unknown }> {
  const bytes = await readBodyBytes(request, limits);
  if (bytes.length === 0) {
    return { bytes, value: undefined };
  }
  const contentType = String(request.headers["content-type"] ?? "application/json");
  const encoding = String(request.headers["content-encoding"] ?? "identity");
  if (!/^application\/([a-z0-9.+-]+\+)?json\s*(;|$)/i.test(contentType) || !/^(identity)?$/i.test(encoding)) {
    throw new DialectFailureError({ kind: "unsupported media type", contentType: `${contentType} ${encoding}` });
  }
  const inexact = inexactNumberProblem(bytes);
  if (inexact !== undefined) {
    throw new DialectFailureError({ kind: "malformed JSON", message: inexact });
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
    throw new DialectFailureError({ kind: "malformed JSON", message: messageWithoutValues(error) });
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
