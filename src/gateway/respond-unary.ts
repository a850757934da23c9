import type { UnaryAnswer } from "./caller.ts";
import { chooseCoding, encodeContent } from "./content-coding.ts";
import type { EncodedMessage } from "./encode-message.ts";
import { type HttpRequest, type HttpResponse, headerValue } from "./http-exchange.ts";
import { addVary, writeMetadata } from "./metadata-headers.ts";

/**
 * Sends one message: its metadata as headers, its trailers as headers with the prefix `trailer-`, as the Connect protocol has it. The body
 * is compressed where the client accepts that and it is large enough for it to pay; the answer to a HEAD has the headers alone.
 */
export async function respondUnary(
  request: HttpRequest,
  response: HttpResponse,
  answer: UnaryAnswer,
  encoded: EncodedMessage,
): Promise<void> {
  writeMetadata(response, answer.header);
  writeMetadata(response, answer.trailer, "trailer-");
  response.setHeader("content-type", encoded.contentType);
  await sendBody(request, response, 200, encoded.data);
}

/** Ends a response with a body, whose headers are set but for the length and the coding. */
export async function sendBody(
  request: HttpRequest,
  response: HttpResponse,
  status: number,
  data: Uint8Array,
): Promise<void> {
  let body = data;
  if (data.length >= compressMinBytes) {
    addVary(response, "accept-encoding");
    const coding = chooseCoding(headerValue(request, "accept-encoding"));
    if (coding !== undefined) {
      body = await encodeContent(coding, data);
      response.setHeader("content-encoding", coding);
    }
  }
  response.setHeader("content-length", body.length);
  response.writeHead(status);
  if (request.method === "HEAD") response.end();
  else response.end(body);
}

/** Below it the compressed form saves no packet. */
const compressMinBytes = 1024;
