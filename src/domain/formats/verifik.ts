import { hmacKeyOf } from "../signing-key.ts";
import type { Format } from "./format.ts";
import { generateTextSecret, parseTextSecret } from "./text-secret.ts";

/**
 * What Verifik's receivers get: `{"id":"evt_…","type":…,"data":…}`, signed by `X-Verifik-Signature: sha256=<hex>` with HMAC-SHA256 over the
 * raw body. During a rotation the newest key signs.
 */
export const verifik: Format = {
  encode: (event) => ({
    contentType: "application/json",
    body: Buffer.from(`{"id":"${event.id}","type":${JSON.stringify(event.type)},"data":${event.dataJson}}`),
    headers: {},
  }),
  sign: ({ payload, keys: [key] }) =>
    key === undefined ? {} : { "x-verifik-signature": `sha256=${hmacKeyOf(key).sign("sha256", payload, "hex")}` },
  algorithms: ["HMAC"],
  parseSecret: parseTextSecret,
  generateSecret: generateTextSecret,
  verification: { optional: true, afterFailure: "UNVERIFIED", maxTimeoutMs: 10_000, exactEcho: false },
  honoursGone: false,
  showsSecret: true,
};
