import type { Exchange } from "./exchange.ts";
import type { HttpClient } from "./http-client.ts";

/** Whether a receiver proved that it wants to be called. `failure` is for the webhook's owner. */
export type VerificationOutcome = { verified: true } | { verified: false; failure: string };

/**
 * Sends a GET with a random `verification_challenge` added to the URL's query. The receiver agrees by answering with a 2xx and the value as
 * the whole body; one line break after it is forgiven. With `exact`, only a 200 with the bare value will do. `randomBytes` must be
 * cryptographically strong.
 */
export async function verifyByChallenge(input: ChallengeInput, client: HttpClient): Promise<VerificationOutcome> {
  const challenge = Buffer.from(input.randomBytes(24)).toString("base64url");
  const url = withQueryParameter(input.url, "verification_challenge", challenge);
  const { timeoutMs, exact = false } = input;
  const answer = await client.send(
    { method: "GET", url, headers: {}, timeoutMs, maxResponseBytes: 1024 },
    input.signal,
  );
  const failure = failureOf(answer, exact);
  if (failure !== undefined) return { verified: false, failure: `${CHALLENGE}${failure}` };
  if (answer.kind === "response" && !answer.truncated && isEcho(answer.body, challenge, exact)) {
    return { verified: true };
  }
  return {
    verified: false,
    failure: `${CHALLENGE}the response's body must be the value of the query parameter verification_challenge, and nothing else`,
  };
}

export interface ChallengeInput {
  url: string;
  timeoutMs: number;
  randomBytes: (size: number) => Uint8Array;
  /** As receivers of Layer's webhooks are asked; left out: false. */
  exact?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Asks for permission as CloudEvents' "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2 says (section 4): OPTIONS with WebHook-Request-Origin.
 * The receiver agrees by answering with WebHook-Allowed-Origin, being that origin or `*`. That specification trusts no status code as
 * consent; here the answer must be a 2xx besides, because an error page is no agreement either. Permission by a later callback is not
 * offered. Requests to a receiver that agreed must carry the origin from then on (4.1.2).
 */
export async function verifyByCloudEvents(input: CloudEventsInput, client: HttpClient): Promise<CloudEventsOutcome> {
  const { url, timeoutMs, origin, ratePerMinute } = input;
  const headers: Record<string, string> = { "webhook-request-origin": origin };
  if (ratePerMinute !== undefined) headers["webhook-request-rate"] = String(ratePerMinute);
  const answer = await client.send(
    { method: "OPTIONS", url, headers, timeoutMs, maxResponseBytes: 1024 },
    input.signal,
  );
  const failure = failureOf(answer, false);
  if (failure !== undefined) return { verified: false, failure: `${HANDSHAKE}${failure}` };
  const allowedOrigin = headerOf(answer, "webhook-allowed-origin");
  if (allowedOrigin === undefined) {
    const wanted = `the response must have the header WebHook-Allowed-Origin with the value ${origin} or *`;
    return { verified: false, failure: `${HANDSHAKE}${wanted}` };
  }
  // Host names have no case (RFC 4343).
  if (allowedOrigin !== "*" && allowedOrigin.toLowerCase() !== origin.toLowerCase()) {
    return {
      verified: false,
      failure: `${HANDSHAKE}WebHook-Allowed-Origin must be ${origin} or *, and was another value`,
    };
  }
  return { verified: true, allowedRatePerMinute: parseRate(headerOf(answer, "webhook-allowed-rate")) };
}

export interface CloudEventsInput {
  url: string;
  timeoutMs: number;
  /** The DNS name that stands for this sender as a whole, such as `hooks.example.com`. */
  origin: string;
  /** How many requests a minute are asked for; left out, nothing is said about it. */
  ratePerMinute?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** The rate is the one that the receiver granted, in requests per minute; undefined where it set no limit. */
export type CloudEventsOutcome =
  | { verified: true; allowedRatePerMinute: number | undefined }
  | { verified: false; failure: string };

const CHALLENGE = "the verification challenge (GET) failed: ";
const HANDSHAKE = "the CloudEvents handshake (OPTIONS) failed: ";

function failureOf(answer: Exchange, exact: boolean): string | undefined {
  if (answer.kind === "failure") return answer.message;
  if (exact ? answer.status === 200 : answer.status >= 200 && answer.status < 300) return undefined;
  if (answer.status >= 300 && answer.status < 400) {
    return `the receiver answered ${answer.status}, and redirects are not followed`;
  }
  return `the receiver answered ${answer.status} instead of a ${exact ? "200" : "2xx"}`;
}

function isEcho(body: Buffer, challenge: string, exact: boolean): boolean {
  const text = body.toString("latin1");
  return (exact ? text : text.replace(/\r?\n$/, "")) === challenge;
}

/** The query that the customer wrote is part of the URL's identity: it is extended, and not written anew. */
function withQueryParameter(text: string, name: string, value: string): string {
  const url = new URL(text);
  url.search += `${url.search === "" ? "?" : "&"}${name}=${value}`;
  return url.href;
}

/** A header that came exactly once. */
function headerOf(answer: Exchange, name: string): string | undefined {
  const value = answer.kind === "response" ? answer.headers[name] : undefined;
  return typeof value === "string" ? value.trim() : undefined;
}

function parseRate(value: string | undefined): number | undefined {
  return value !== undefined && /^[1-9]\d{0,8}$/.test(value) ? Number(value) : undefined;
}
