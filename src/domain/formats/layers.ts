import { HmacKey } from "../hmac-key.ts";
import { isoTime } from "../iso-time.ts";
import { generateSecret, hmacKeyOf, type ParsedKey, type SigningKey } from "../signing-key.ts";
import type { Format } from "./format.ts";
import type { EncodedPayload, PayloadEvent } from "./payload.ts";

/**
 * What Layers' receivers get: `X-Layers-Signature: t=<Unix seconds>,v1=<hex>`, HMAC-SHA256 over `t.body` with the whole `whsec_…` text as
 * the key. During a rotation there is one `v1=` for each key, the newest first.
 */
export const layers: Format = {
  encode,
  sign({ payload, now, keys }) {
    const seconds = Math.floor(now / 1000);
    const signatures = keys.map((key) => `v1=${signature(key, seconds, payload)}`);
    return { "x-layers-signature": [`t=${seconds}`, ...signatures].join(",") };
  },
  algorithms: ["HMAC"],
  parseSecret,
  generateSecret,
  verification: { optional: true, afterFailure: "UNVERIFIED", maxTimeoutMs: 10_000, exactEcho: false },
  honoursGone: false,
  showsSecret: false,
};

function encode(event: PayloadEvent): EncodedPayload {
  const members = [
    `"id":"${event.id}"`,
    `"type":${JSON.stringify(event.type)}`,
    `"createdAt":"${isoTime(event.occurredAt)}"`,
    '"apiVersion":"v1"',
    `"data":${event.dataJson}`,
  ];
  if (event.replayOf !== undefined) members.push(`"replayOf":"${event.replayOf}"`);
  return {
    contentType: "application/json",
    body: Buffer.from(`{${members.join(",")}}`),
    headers: { "x-layers-event-id": event.id },
  };
}

function signature(key: SigningKey, seconds: number, { body }: EncodedPayload): string {
  return hmacKeyOf(key).sign("sha256", { head: `${seconds}.`, body }, "hex");
}

function parseSecret(text: string): ParsedKey {
  if (!/^whsec_[\x21-\x7e]{1,250}$/.test(text)) {
    return { kind: "refused", reason: "must be whsec_ and 1 to 250 visible ASCII characters" };
  }
  return { kind: "key", key: new HmacKey(Buffer.from(text, "utf8")) };
}
