import type { HttpRequest, HttpResponse } from "./http-exchange.ts";

/** Every header of a request, as metadata for the call: all lines of a name, and for HTTP/2 `host` in place of the pseudo headers. */
export function readMetadata(request: HttpRequest): Headers {
  const { rawHeaders } = request;
  const header = new Headers();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    const value = rawHeaders[index + 1] ?? "";
    if (!name.startsWith(":")) header.append(name, value);
    else if (name === ":authority") header.append("host", value);
  }
  return header;
}

/** Adds the metadata of an answer to its HTTP headers, but for what belongs to the exchange itself: lengths, codings, the connection. */
export function writeMetadata(response: HttpResponse, header: Headers, prefix = ""): void {
  header.forEach((value, name) => {
    if (exchangeHeaders.has(name)) return;
    if (name === "vary" && prefix === "") addVary(response, value);
    else response.setHeader(prefix + name, name === "set-cookie" ? header.getSetCookie() : value);
  });
}

/** Adds a header's name to Vary, beside what is there. */
export function addVary(response: HttpResponse, name: string): void {
  const existing = response.getHeader("vary");
  response.setHeader("vary", existing === undefined ? name : `${String(existing)}, ${name}`);
}

const exchangeHeaders: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
