import { isoTime } from "../iso-time.ts";
import { signatureHeaders } from "../signature.ts";
import { generateSecret, parseSigningKey } from "../signing-key.ts";
import type { Format } from "./format.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";

/** What formats that are signed as Standard Webhooks 1.0 asks have in common. */
export const standardSigning = {
  sign: ({ eventId, now, payload, keys }) => ({
    ...signatureHeaders({ id: eventId, timestampSeconds: Math.floor(now / 1000), body: payload.body, keys }),
  }),
  algorithms: ["HMAC", "ED25519"],
  parseSecret: parseSigningKey,
  generateSecret,
  verification: { optional: false, afterFailure: "UNVERIFIED", maxTimeoutMs: 10_000, exactEcho: false },
  honoursGone: true,
  showsSecret: false,
} as const satisfies Omit<Format, "encode">;

/** Standard Webhooks 1.0 (https://github.com/standard-webhooks/standard-webhooks). */
export const standard: Format = { ...standardSigning, encode: encodeStandard };

/**
 * The payload that Standard Webhooks 1.0 recommends: `{"type":…,"timestamp":…,"data":…}`, the timestamp being when the event happened.
 * The data's text stands in it unchanged: numbers beyond a double, key order and spaces survive.
 */
function encodeStandard(event: PayloadEvent): EncodedPayload {
  const head = `{"type":${JSON.stringify(event.type)},"timestamp":"${isoTime(event.occurredAt)}","data":`;
  return { contentType: "application/json", body: Buffer.from(`${head}${event.dataJson}}`), headers: {} };
}
