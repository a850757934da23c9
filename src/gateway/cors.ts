import { type HttpRequest, type HttpResponse, headerValue } from "./http-exchange.ts";
import { addVary } from "./metadata-headers.ts";

/**
 * Lets pages of other origins call the gateway (the CORS protocol of the Fetch standard). The function sets the headers that a request's
 * origin gets; a request without one, or of an origin that is not allowed, gets none, and the browser keeps the answer from the page.
 */
export function createCors(options: CorsOptions): Cors {
  const origins = options.allowedOrigins === "*" ? "*" : new Set(options.allowedOrigins);
  const isAnyOrigin = origins === "*" && !options.allowCredentials;

  return (request, response, allowedMethods) => {
    if (!isAnyOrigin) addVary(response, "origin");
    const origin = headerValue(request, "origin");
    if (origin === undefined || (origins !== "*" && !origins.has(origin))) return;
    response.setHeader("access-control-allow-origin", isAnyOrigin ? "*" : origin);
    if (options.allowCredentials) response.setHeader("access-control-allow-credentials", "true");
    if (isPreflight(request)) answerPreflight(request, response, allowedMethods, options);
    else if (options.exposedHeaders !== undefined) {
      response.setHeader("access-control-expose-headers", options.exposedHeaders.join(", "));
    }
  };
}

function answerPreflight(
  request: HttpRequest,
  response: HttpResponse,
  allowedMethods: readonly string[],
  { allowedHeaders, maxAgeSeconds = 7200 }: CorsOptions,
): void {
  const headers = allowedHeaders?.join(", ") ?? headerValue(request, "access-control-request-headers");
  if (headers !== undefined) response.setHeader("access-control-allow-headers", headers);
  addVary(response, "access-control-request-headers");
  response.setHeader("access-control-allow-methods", allowedMethods.join(", "));
  response.setHeader("access-control-max-age", maxAgeSeconds);
}

export interface CorsOptions {
  /** Origins such as `https://app.example.com`, exactly; `*`: any. */
  readonly allowedOrigins: "*" | readonly string[];
  /** Request headers that pages may set; left out: those that they ask for. */
  readonly allowedHeaders?: readonly string[];
  /** Response headers that pages may read, beside the ones that they always may. */
  readonly exposedHeaders?: readonly string[];
  /** Whether the browser sends cookies and client certificates. */
  readonly allowCredentials?: boolean;
  /** How long a browser remembers the answer to a preflight, in seconds. Left out: two hours, the most that Chromium takes. */
  readonly maxAgeSeconds?: number;
}

export type Cors = (request: HttpRequest, response: HttpResponse, allowedMethods: readonly string[]) => void;

function isPreflight(request: HttpRequest): boolean {
  return request.method === "OPTIONS" && headerValue(request, "access-control-request-method") !== undefined;
}
