import type { JSONWebKeySet } from "jose";
import { Agent, request } from "undici";

/** Reads the keys with which an issuer signs its tokens (RFC 7517, section 5). */
export interface JsonWebKeysReader {
  /**
   * Asks the issuer once. Rejects with an Error that says what happened: no answer in time, another status than 200 (redirects are not followed),
   * more bytes than allowed, or no key set.
   */
  read(): Promise<JSONWebKeySet>;
  close(): Promise<void>;
}

export interface JsonWebKeysReaderOptions {
  /**
   * Chosen by the operator and by nobody else, so the guard for receivers' addresses does not stand here: issuers often live on an internal
   * address.
   */
  url: string;
  /** For the whole exchange, the body included. */
  timeoutMs?: number;
  maxBytes?: number;
}

/** Its own connections: nothing of this shares a pool with requests to receivers. */
export function createJsonWebKeysReader(options: JsonWebKeysReaderOptions): JsonWebKeysReader {
  const { url, timeoutMs = 5_000, maxBytes = 256 * 1024 } = options;
  const agent = new Agent({ connections: 1, maxResponseSize: maxBytes });
  return {
    async read() {
      const { statusCode, body } = await request(url, {
        dispatcher: agent,
        headers: { accept: "application/json", "accept-encoding": "identity" },
        signal: AbortSignal.timeout(timeoutMs),
      });
      // The body is read in any case: a connection with an answer that nobody reads is never free again.
      const text = await body.text();
      if (statusCode !== 200) throw new Error(`the issuer answered ${statusCode} where 200 was expected`);
      const parsed: unknown = JSON.parse(text);
      if (isKeySet(parsed)) return parsed;
      throw new Error("what the issuer answered is no JSON Web Key Set");
    },
    close: () => agent.close(),
  };
}

function isKeySet(value: unknown): value is JSONWebKeySet {
  if (typeof value !== "object" || value === null || !("keys" in value) || !Array.isArray(value.keys)) return false;
  return value.keys.every((key) => typeof key === "object" && key !== null && !Array.isArray(key));
}
