import type { AttemptError } from "../domain/attempt.ts";
import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
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
  startedAt: Date;
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
  const startedMs = now();
  const { url, payload, timeoutMs, requestOrigin } = input;
  const format = formatOf(input.format);
  const headers: Record<string, string> = {};
  // In lower case, so that what follows replaces a customer's header of the same name in any spelling.
  for (const name in input.headers) headers[name.toLowerCase()] = input.headers[name] ?? "";
  Object.assign(headers, payload.headers, { "content-type": payload.contentType });
  Object.assign(headers, format.sign({ ...input, now: startedMs, keys: input.signingKeys }));
  if (requestOrigin !== undefined) headers["webhook-request-origin"] = requestOrigin;
  const request = {
    method: "POST",
    url,
    headers,
    body: payload.body,
    timeoutMs,
    maxResponseBytes: MAX_RESPONSE_BYTES,
  } as const;
  const exchange = await client.send(request, signal);
  return { startedAt: new Date(startedMs), ...judge(exchange, { now: now(), honoursGone: format.honoursGone }) };
}

const MAX_RESPONSE_BYTES = 16 * 1024;
const NO_BODY = Buffer.alloc(0);

function judge(exchange: Exchange, { now, honoursGone }: JudgeRules): Omit<AttemptOutcome, "startedAt"> {
  const { latencyMs } = exchange;
  if (exchange.kind === "failure") {
    const { error, message } = exchange;
    const nothing = { statusCode: 0, responseBody: NO_BODY, retryAfterMs: undefined };
    return { ...nothing, latencyMs, error, errorMessage: message, verdict: "failed" };
  }
  const { status, body: responseBody } = exchange;
  const answer = { latencyMs, statusCode: status, responseBody };
  if (status >= 200 && status < 300) {
    return { ...answer, error: null, errorMessage: "", verdict: "delivered", retryAfterMs: undefined };
  }
  return {
    ...answer,
    error: "STATUS",
    errorMessage: statusWords(status),
    verdict: status === 410 && honoursGone ? "gone" : "failed",
    retryAfterMs: retryAfter(status, exchange.headers, now),
  };
}

interface JudgeRules {
  now: number;
  honoursGone: boolean;
}

function statusWords(status: number): string {
  if (status >= 300 && status < 400) return `the receiver answered ${status}: redirects are not followed`;
  if (status === 410) return "the receiver answered 410: it wants no more requests";
  return `the receiver answered ${status}: only a 2xx counts as received`;
}

function retryAfter(status: number, headers: ResponseHeaders, nowMs: number): number | undefined {
  if (status !== 429 && status !== 503) return undefined;
  return parseRetryAfter([headers["retry-after"]].flat()[0], nowMs);
}
