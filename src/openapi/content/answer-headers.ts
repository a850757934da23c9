import type { JsonObject } from "@bufbuild/protobuf";

/** The components of headers that several answers have. */
export const headerComponents: JsonObject = {
  RateLimitPolicy: {
    description:
      "The limits on calls that hold for the caller, in the form of draft-ietf-httpapi-ratelimit-headers-11: `q` calls at once, which come back " +
      "within `w` seconds. Operators have none.",
    schema: { type: "string" },
    example: '"key";q=1000;w=2, "organization";q=2000;w=2',
  },
  RateLimit: {
    description:
      "How the caller stands with each of these limits: `r` calls are left, and for `t` seconds no more than that should be asked for.",
    schema: { type: "string" },
    example: '"key";r=996;t=1, "organization";r=1890;t=1',
  },
  RetryAfter: {
    description: "In how many seconds to try again, where that is known.",
    schema: { type: "integer", minimum: 0 },
  },
};

/** Headers of every answer to a caller with limits. */
export const answerHeaders: JsonObject = {
  "RateLimit-Policy": { $ref: "#/components/headers/RateLimitPolicy" },
  RateLimit: { $ref: "#/components/headers/RateLimit" },
};

const retryAfter: JsonObject = { "Retry-After": { $ref: "#/components/headers/RetryAfter" } };

/** Headers of answers that fail, by status. What is not here is answered before anybody knows who calls, and has nothing to tell of limits. */
export const errorHeaders: Readonly<Record<number, JsonObject>> = {
  400: answerHeaders,
  401: { "WWW-Authenticate": { description: "RFC 9110, 11.6.1.", schema: { type: "string" } } },
  403: answerHeaders,
  404: answerHeaders,
  408: answerHeaders,
  // A call with the same idempotency key is under way.
  409: { ...answerHeaders, ...retryAfter },
  413: answerHeaders,
  415: answerHeaders,
  429: { ...answerHeaders, ...retryAfter },
  500: answerHeaders,
  503: { ...answerHeaders, ...retryAfter },
  504: answerHeaders,
};
