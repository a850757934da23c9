import type { NodeRequest, NodeResponse } from "./api/servers/node-server.ts";
import { createCors } from "./gateway/cors.ts";

/**
 * Lets pages of the origins call everything on the HTTP port: REST, Connect, gRPC-Web and the dialects. Returns whether it has answered the
 * request, which it does for a browser's question beforehand (preflight). Cookies play no part: keys are sent as headers.
 */
export function createCrossOrigin(
  allowedOrigins: "*" | readonly string[],
): (request: NodeRequest, response: NodeResponse) => boolean {
  const cors = createCors({ allowedOrigins, exposedHeaders: ["*"] });
  return (request, response) => {
    cors(request, response, methods);
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (isPreflight) {
      response.writeHead(204);
      response.end();
    }
    return isPreflight;
  };
}

const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
