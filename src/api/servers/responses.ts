import type { OutgoingHttpHeaders } from "node:http";
import type { ErrorCode } from "../../errors.ts";
import { encodeMessage } from "./grpc-message.ts";
import type { NodeRequest, NodeResponse } from "./node-server.ts";

/** The path of a request, without its query. */
export function requestPath({ url = "" }: NodeRequest): string {
  const end = url.indexOf("?");
  return end === -1 ? url : url.slice(0, end);
}

/** Sends a whole response that is never to be cached. To HEAD its headers only. */
export function sendText(
  { method }: NodeRequest,
  response: NodeResponse,
  { status, type, text, headers }: { status: number; type: string; text: string; headers?: OutgoingHttpHeaders },
): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    ...headers,
  });
  if (method === "HEAD") response.end();
  else response.end(text);
}

/** Sends a value as JSON. */
export function sendJson(request: NodeRequest, response: NodeResponse, status: number, value: unknown): void {
  sendText(request, response, { status, type: "application/json", text: `${JSON.stringify(value)}\n` });
}

/** The JSON of AIP-193 for an error, with its reason as a detail. */
export function errorJson(
  httpStatus: number,
  { code, reason, message }: { code: ErrorCode; reason: string; message: string },
): string {
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "tellwire" };
  return `${JSON.stringify({ error: { code: httpStatus, status: code, message, details: [info] } })}\n`;
}

/** Sends an error in the JSON form of AIP-193. */
export function sendError(
  request: NodeRequest,
  response: NodeResponse,
  httpStatus: number,
  code: ErrorCode,
  message: string,
  headers: OutgoingHttpHeaders = {},
): void {
  const text = `${JSON.stringify({ error: { code: httpStatus, status: code, message, details: [] } })}\n`;
  sendText(request, response, { status: httpStatus, type: "application/json", text, headers });
}

/** Answers a gRPC call of an unknown method: a status of gRPC in a response without a body ("Trailers-Only"). */
export function sendGrpcUnimplemented(request: NodeRequest, response: NodeResponse): void {
  // Headers and end in one frame, which writeHead would part: clients take the status from the frame that ends the stream.
  response.statusCode = 200;
  response.setHeader("content-type", "application/grpc");
  // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
  response.setHeader("grpc-status", "12");
  response.setHeader("grpc-message", encodeMessage(`${requestPath(request)} is no method of this server`));
  response.end();
}

/** Whether a request speaks gRPC, which understands no other answers than its own. gRPC-Web is none. */
export function isGrpcRequest({ headers }: NodeRequest): boolean {
  return /^application\/grpc(?![\w-])/i.test(headers["content-type"] ?? "");
}
