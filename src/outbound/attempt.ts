import type { AttemptError } from "../domain/attempt.ts";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import type { Format } from "../domain/formats/format.ts";
import type { EncodedPayload } from "../domain/formats/payload.ts";
import { parseRetryAfter } from "../domain/retry-after.ts";
import type { SigningKey } from "../domain/signing-key.ts";
import type { Exchange, ResponseHeaders } from "./exchange.ts";
import type { HttpClient } from "./http-client.ts";

/** One event for one webhook. */
export interface AttemptInput {
  /** A UUID. */
  webhookId: string;
  url: string;
  /** The customer's own headers, checked when they were set. They are sent in lower case. */
  headers: Readonly<Record<string, string>>;
  format: WebhookFormat;
  /** The event in that format. */
  payload: EncodedPayload;
  /** `evt_…`: the same in every attempt. */
  eventId: string;
  eventType: string;
  /** A UUID, the same in every attempt. */
  deliveryId: string;
  /** Newest first. */
  signingKeys: readonly SigningKey[];
  timeoutMs: number;
  /** The name that a webhook verified by the CloudEvents handshake was told; sent with each request from then on. */
  requestOrigin?: string | undefined;
}

/** What came of an attempt. */
export interface AttemptOutcome {
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** Whole milliseconds. */
  latencyMs: number;
  /** 0 where there was no response. */
  statusCode: number;
  /** null exactly where the verdict is `delivered`. */
  error: AttemptError | null;
  /** Words for the webhook's owner; empty where the verdict is `delivered`. */
  errorMessage: string;
  /** The first 16 KiB. */
  responseBody: Buffer;
  /** `gone` (410) asks for no further requests at all. */
  verdict: "delivered" | "failed" | "gone";
  /** How long the receiver asked to wait, on 429 and 503 only. */
  retryAfterMs: number | undefined;
}

export interface AttemptContext {
  client: HttpClient;
  /** Unix time in milliseconds. */
  now: () => number;
  signal?: AbortSignal | undefined;
}

/**
 * Signs and sends one request, and judges the answer: a 2xx is success, nothing else. Rejects only where the client does: aborted, or
 * closed.
 */
export async function attempt(input: AttemptInput, { client, now, signal }: AttemptContext): Promise<AttemptOutcome> {
  const startedAt = now();
  const { url, payload, timeoutMs } = input;
  const format = formatOf(input.format);
  const request = {
    method: "POST",
    url,
    headers: headersOf(input, format, startedAt),
    body: payload.body,
    timeoutMs,
    maxResponseBytes: MAX_RESPONSE_BYTES,
  } as const;
  const exchange = await client.send(request, signal);
  if (exchange.kind === "failure") return unanswered(startedAt, exchange);
  const { status, headers, latencyMs, body: responseBody } = exchange;
  const isReceived = status >= 200 && status < 300;
  return {
    startedAt,
    latencyMs,
    statusCode: status,
    error: isReceived ? null : "STATUS",
    errorMessage: isReceived ? "" : statusWords(status),
    responseBody,
    verdict: isReceived ? "delivered" : status === 410 && format.honoursGone ? "gone" : "failed",
    retryAfterMs: status === 429 || status === 503 ? retryAfter(headers, now()) : undefined,
  };
}

const MAX_RESPONSE_BYTES = 16 * 1024;
const NO_BODY = Buffer.alloc(0);

/** What comes later replaces what comes before it under the same name: the customer's own headers come first, in lower case. */
function headersOf(input: AttemptInput, format: Format, now: number): Record<string, string> {
  const { payload, eventId, eventType, deliveryId, webhookId, signingKeys: keys, requestOrigin } = input;
  const headers: Record<string, string> = {
    ...inLowerCase(input.headers),
    ...payload.headers,
    "content-type": payload.contentType,
    ...format.sign({ payload, eventId, eventType, deliveryId, webhookId, now, keys }),
  };
  if (requestOrigin !== undefined) headers["webhook-request-origin"] = requestOrigin;
  return headers;
}

function inLowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  const lower: Record<string, string> = {};
  for (const name in headers) lower[name.toLowerCase()] = headers[name] ?? "";
  return lower;
}

function unanswered(startedAt: number, { error, message, latencyMs }: FailedExchange): AttemptOutcome {
  return {
    startedAt,
    latencyMs,
    statusCode: 0,
    error,
    errorMessage: message,
    responseBody: NO_BODY,
    verdict: "failed",
    retryAfterMs: undefined,
  };
}

type FailedExchange = Extract<Exchange, { kind: "failure" }>;

function statusWords(status: number): string {
  if (status >= 300 && status < 400) return `the receiver answered ${status}: redirects are not followed`;
  if (status === 410) return "the receiver answered 410: it wants no more requests";
  return `the receiver answered ${status}: only a 2xx counts as received`;
}

function retryAfter(headers: ResponseHeaders, nowMs: number): number | undefined {
  return parseRetryAfter([headers["retry-after"]].flat()[0], nowMs);
}
