import { type Code, ConnectError } from "@connectrpc/connect";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { Code as RpcCode } from "../../../gen/google/rpc/code_pb.ts";
import { type Reason, TellwireError } from "../../errors.ts";
import { errorDetails } from "../messages/error-details.ts";
import { encodeMessage } from "./grpc-message.ts";
import type { NodeRequest, NodeResponse } from "./node-server.ts";
import type { RequestLimits } from "./request-limits.ts";
import { errorJson, requestPath, sendText } from "./responses.ts";
import { discardBody } from "./unwanted-body.ts";

/** A request that goes no further, because it is beyond a limit or no HTTP: why, and the status of HTTP. */
export interface Refusal {
  reason: Extract<
    Reason,
    "BODY_TOO_LARGE" | "HEADERS_TOO_LARGE" | "URL_TOO_LONG" | "REQUEST_TIMEOUT" | "MALFORMED_REQUEST"
  >;
  httpStatus: number;
  message: string;
}

/** A request on a connection of HTTP/1 whose first line has another version, such as HTTP/2.0: the parser lets it pass. */
export function findOtherVersion(request: NodeRequest): Refusal | undefined {
  if ("stream" in request || request.httpVersionMajor === 1) return undefined;
  const message = `this connection speaks HTTP/1.1, and the request HTTP/${request.httpVersion}`;
  return { reason: "MALFORMED_REQUEST", httpStatus: 400, message };
}

/** What is wrong with the size of a request's first line or headers; undefined where nothing is. */
export function findOversize(request: NodeRequest, limits: RequestLimits): Refusal | undefined {
  const { url = "", rawHeaders } = request;
  if (url.length > limits.maxUrlBytes) return urlTooLong(limits);
  let bytes = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    // The pseudo headers of HTTP/2 are the first line of HTTP/1.1. Every other one is written with a colon, a space and a line break.
    if (!name.startsWith(":")) bytes += name.length + (rawHeaders[index + 1] ?? "").length + 4;
  }
  return bytes > limits.maxHeaderBytes ? headersTooLarge(limits) : undefined;
}

export function urlTooLong({ maxUrlBytes }: RequestLimits): Refusal {
  const message = `the URL is longer than ${maxUrlBytes} bytes: send what is long in the body`;
  return { reason: "URL_TOO_LONG", httpStatus: 414, message };
}

export function headersTooLarge({ maxHeaderBytes }: RequestLimits): Refusal {
  const message = `the headers are larger than ${maxHeaderBytes} bytes together`;
  return { reason: "HEADERS_TOO_LARGE", httpStatus: 431, message };
}

/** The refusal as an error of Connect and gRPC, with its reason as a detail. */
export function refusalError({ reason, message }: Pick<Refusal, "reason" | "message">): ConnectError {
  const error = new TellwireError(reason, message);
  // Connect numbers its codes as google.rpc.Code does.
  return new ConnectError(message, RpcCode[error.code] as number as Code, undefined, errorDetails(error), error);
}

/** The JSON of AIP-193 for a refusal. */
export function refusalJson({ reason, httpStatus, message }: Refusal): string {
  return errorJson(httpStatus, new TellwireError(reason, message));
}

/** Answers a request, whose body was not read yet, with a refusal in the protocol that it speaks. */
export function sendRefusal(request: NodeRequest, response: NodeResponse, refusal: Refusal): void {
  discardBody(request);
  const type = request.headers["content-type"] ?? "";
  if (/^application\/grpc/i.test(type)) {
    sendGrpcStatus(response, type, refusal);
  } else if (speaksConnect(request)) {
    const text = Buffer.from(errorToJsonBytes(refusalError(refusal), undefined)).toString();
    sendText(request, response, { status: refusal.httpStatus, type: "application/json", text });
  } else {
    sendText(request, response, { status: refusal.httpStatus, type: "application/json", text: refusalJson(refusal) });
  }
}

/** gRPC takes its status from the headers where there is no body ("Trailers-Only"), and gRPC-Web does too. */
function sendGrpcStatus(response: NodeResponse, contentType: string, refusal: Refusal): void {
  const status = new Headers();
  setTrailerStatus(status, refusalError(refusal));
  status.set("grpc-message", encodeMessage(refusal.message));
  response.statusCode = 200;
  response.setHeader("content-type", contentType);
  for (const [name, value] of status) response.setHeader(name, value);
  response.end();
}

function speaksConnect(request: NodeRequest): boolean {
  const { headers, url = "" } = request;
  if (headers["connect-protocol-version"] !== undefined) return true;
  return (
    /^application\/connect\+/i.test(headers["content-type"] ?? "") ||
    /[?&]connect=v1(?:&|$)/.test(url.slice(requestPath(request).length))
  );
}
