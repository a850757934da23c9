import { errors } from "undici";
import type { AttemptError } from "../domain/attempt.ts";

/** The kinds of failure that an exchange can have by itself; the others are judgements about a response, or about an attempt. */
export type ExchangeError = Exclude<AttemptError, "STATUS" | "SECRET_UNUSABLE" | "INTERNAL">;

/**
 * A failure whose kind is known where it happens, on its way through a socket or undici. The message is for the webhook's owner. It does
 * not tell a refused connection from a filtered one, nor which address a name stands for, so that a webhook is no port scanner.
 */
export class ExchangeFailure extends Error {
  override readonly name = "ExchangeFailure";
  readonly error: ExchangeError;

  constructor(error: ExchangeError, message: string, cause?: unknown) {
    super(message, { cause });
    this.error = error;
  }
}

/** Turns what a socket or undici reports after the connection was made into a failure. */
export function toExchangeFailure(error: Error): ExchangeFailure {
  if (error instanceof ExchangeFailure) return error;
  const code = errorCode(error);
  if (/^ERR_(SSL|TLS)_/.test(code)) return tlsFailure(error);
  if (code === "UND_ERR_RES_CONTENT_LENGTH_MISMATCH") {
    return new ExchangeFailure("PROTOCOL", "the response's length differs from its content-length", error);
  }
  if (error instanceof errors.HTTPParserError || isBadResponse(error)) {
    return new ExchangeFailure("PROTOCOL", "the response is not valid HTTP/1.1", error);
  }
  if (code === "UND_ERR_INVALID_ARG" || code === "UND_ERR_NOT_SUPPORTED") {
    return new ExchangeFailure("PROTOCOL", `the request cannot be written: ${error.message}`, error);
  }
  return new ExchangeFailure("CONNECTION", "the connection was closed before the response was complete", error);
}

/** The failure of a response whose headers, or what else is neither head nor body, take too much. */
export function headTooLarge(): ExchangeFailure {
  return new ExchangeFailure("PROTOCOL", "the response's headers are larger than 16 KiB");
}

/** A failure of the TLS handshake, in words that help the receiver's owner. */
export function tlsFailure(error: Error): ExchangeFailure {
  const code = errorCode(error);
  const words = TLS_WORDS[code] ?? `the TLS handshake failed${code ? ` (${code})` : ""}`;
  return new ExchangeFailure("TLS", words, error);
}

const TLS_WORDS: Readonly<Record<string, string>> = {
  ERR_TLS_CERT_ALTNAME_INVALID: "the certificate is for other host names",
  CERT_HAS_EXPIRED: "the certificate has expired",
  CERT_NOT_YET_VALID: "the certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate's chain ends in an authority that is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "the certificate's authority is not trusted, or an intermediate certificate is missing",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the certificate's authority is not trusted, or an intermediate certificate is missing",
  ERR_SSL_WRONG_VERSION_NUMBER: "the receiver does not speak TLS on this port",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "the receiver does not speak TLS on this port",
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "the receiver does not offer TLS 1.2 or later",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the receiver does not offer TLS 1.2 or later",
  ECONNRESET: "the connection was closed during the TLS handshake",
};

/** undici reports an unexpected 100 or 101, and bytes that no request asked for, as socket errors with these texts. */
function isBadResponse(error: Error): boolean {
  return error.message === "bad response" || error.message === "bad upgrade";
}

function errorCode(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === "string" ? code : "";
}
