import { hash } from "node:crypto";
import type { OutgoingHttpHeaders } from "node:http";
import { parseId } from "../domain/ids.ts";
import type { PublicJwk } from "../domain/signing-key.ts";
import { TellwireError } from "../errors.ts";
import { isDatabaseUnavailable } from "../usecases/database-failure.ts";
import type { PublishedKeys } from "../usecases/published-keys.ts";
import type { NodeRequest, NodeResponse } from "./servers/node-server.ts";
import { errorJson, requestPath, sendText } from "./servers/responses.ts";

/**
 * Serves the public keys of a webhook at `/.well-known/webhooks/{id}/jwks.json`, as a JWK Set (RFC 7517), to GET and HEAD and without a key. The
 * id is that of the contract, or the bare UUID. A webhook that has no public keys is answered as one that does not exist. Every other path is left
 * alone, and gives undefined.
 */
export function createJwksHandler({ publishedKeys, onServerError }: JwksHandlerOptions): JwksHandler {
  async function answer(request: NodeRequest, response: NodeResponse, webhookId: string | undefined): Promise<void> {
    try {
      const keys = webhookId === undefined ? [] : await publishedKeys(webhookId);
      if (keys.length === 0) return sendError(request, response, 404, noKeys());
      sendKeys(request, response, keys);
    } catch (error) {
      onServerError(error);
      if (!isUnavailable(error))
        return sendError(request, response, 500, new TellwireError("INTERNAL", "internal error"));
      sendError(request, response, 503, unavailable(), { "retry-after": "1" });
    }
  }

  return (request, response) => {
    const path = requestPath(request);
    const [, id] = /^\/\.well-known\/webhooks\/([^/]{1,64})\/jwks\.json$/.exec(path) ?? [];
    if (id === undefined) return undefined;
    if (request.method === "GET" || request.method === "HEAD") return answer(request, response, parseId("webhook", id));
    const error = { code: "UNIMPLEMENTED", message: "the keys of a webhook are only read: use GET or HEAD" } as const;
    const text = errorJson(405, { ...error, reason: "METHOD_NOT_ALLOWED" });
    sendText(request, response, { status: 405, type: "application/json", text, headers: { allow: "GET, HEAD" } });
    return Promise.resolve();
  };
}

export interface JwksHandlerOptions {
  publishedKeys: PublishedKeys;
  /** Told of what failed because of us. */
  onServerError: (error: unknown) => void;
}

/** Answers a request for a webhook's keys; undefined: it is for something else. */
export type JwksHandler = (request: NodeRequest, response: NodeResponse) => Promise<void> | undefined;

/** A minute: a key that was replaced without an overlap must not be trusted for much longer. */
const cacheControl = "public, max-age=60";

function sendKeys(request: NodeRequest, response: NodeResponse, keys: readonly PublicJwk[]): void {
  const text = `${JSON.stringify({ keys })}\n`;
  const etag = `"${hash("sha256", text, "base64url").slice(0, 22)}"`;
  const headers = { etag, "cache-control": cacheControl, "x-content-type-options": "nosniff" };
  if (isKnown(etag, request.headers["if-none-match"])) {
    response.writeHead(304, headers);
    response.end();
  } else {
    // RFC 7517, section 8.5.2.
    sendText(request, response, { status: 200, type: "application/jwk-set+json", text, headers });
  }
}

/** RFC 9110, 13.1.2: compared without regard to weakness. */
function isKnown(etag: string, ifNoneMatch: string | undefined): boolean {
  const known = (ifNoneMatch ?? "").split(",").map((each) => each.trim().replace(/^W\//, ""));
  return known.includes("*") || known.includes(etag);
}

function noKeys(): TellwireError {
  return new TellwireError("WEBHOOK_NOT_FOUND", "there is no webhook with this id that has public keys");
}

function unavailable(): TellwireError {
  return new TellwireError("DATABASE_UNAVAILABLE", "the keys cannot be read at the moment: try again soon");
}

function isUnavailable(error: unknown): boolean {
  return isDatabaseUnavailable(error) || (error instanceof TellwireError && error.code === "UNAVAILABLE");
}

function sendError(
  request: NodeRequest,
  response: NodeResponse,
  status: number,
  { code, reason, message }: TellwireError,
  headers: OutgoingHttpHeaders = {},
): void {
  const text = errorJson(status, { code, reason, message });
  sendText(request, response, { status, type: "application/json", text, headers });
}
