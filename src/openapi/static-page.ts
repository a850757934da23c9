import { createHash } from "node:crypto";
import { chooseCoding, encodeContent } from "../gateway/content-coding.ts";
import { type HttpRequest, type HttpResponse, headerValue } from "../gateway/http-exchange.ts";
import { addVary } from "../gateway/metadata-headers.ts";

/**
 * Prepares bytes for being sent again and again: with an ETag, which answers 304 to who has them (RFC 9110, 13.1.2), and compressed once for each
 * coding.
 */
export function createStaticPage({ bytes, type, cacheControl, headers = {} }: StaticPageOptions): StaticPage {
  // Weak, because the compressed forms share it.
  const etag = `W/"${hashOf(bytes)}"`;
  const encoded = new Map<string, Promise<Uint8Array>>();
  const encode = (coding: "gzip" | "br" | undefined): Promise<Uint8Array> => {
    const made =
      encoded.get(coding ?? "") ?? (coding === undefined ? Promise.resolve(bytes) : encodeContent(coding, bytes));
    encoded.set(coding ?? "", made);
    return made;
  };

  return async (request, response) => {
    const allHeaders = { ...headers, etag, "cache-control": cacheControl, ...sniffing };
    for (const [name, value] of Object.entries(allHeaders)) response.setHeader(name, value);
    addVary(response, "accept-encoding");
    if (isKnown(etag, headerValue(request, "if-none-match"))) {
      response.writeHead(304);
      response.end();
      return;
    }
    const coding = chooseCoding(headerValue(request, "accept-encoding"));
    const body = await encode(coding);
    if (coding !== undefined) response.setHeader("content-encoding", coding);
    response.setHeader("content-type", type);
    response.setHeader("content-length", body.length);
    response.writeHead(200);
    if (request.method === "HEAD") response.end();
    else response.end(body);
  };
}

export interface StaticPageOptions {
  readonly bytes: Uint8Array;
  readonly type: string;
  readonly cacheControl: string;
  /** Further headers of the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers a GET or HEAD. */
export type StaticPage = (request: HttpRequest, response: HttpResponse) => Promise<void>;

/** Some characters that change with the bytes. */
export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("base64url").slice(0, 16);
}

/** The type is what the header says, whatever the bytes look like. */
const sniffing = { "x-content-type-options": "nosniff" };

function isKnown(etag: string, ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false;
  const known = ifNoneMatch.split(",").map((each) => each.trim().replace(/^W\//, ""));
  return known.includes("*") || known.includes(etag.slice(2));
}
