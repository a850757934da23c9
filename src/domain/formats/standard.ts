import type { EncodedPayload, PayloadEvent } from "./payload.ts";

/**
 * The payload that Standard Webhooks 1.0 recommends: `{"type":…,"timestamp":…,"data":…}`, the timestamp being when the event happened.
 * The data's text stands in it unchanged: numbers beyond a double, key order and spaces survive.
 */
export function encodeStandard(event: PayloadEvent): EncodedPayload {
  const head = `{"type":${JSON.stringify(event.type)},"timestamp":"${event.occurredAt.toISOString()}","data":`;
  return { contentType: "application/json", body: Buffer.from(`${head}${event.dataJson}}`), headers: {} };
}
